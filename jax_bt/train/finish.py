"""Ends a run: evaluates, writes the report and ``summary.json``, and says what was achieved."""

from typing import Any

from etils import epath

from jax_bt import evaluate, report
from jax_bt.data import Source
from jax_bt.methods import Variables
from jax_bt.report import table
from jax_bt.train import collapse, encoder, evaluation, export, pairs, pictures, workdir
from jax_bt.train.evaluation import Features
from jax_bt.train.history import rate, read, total_seconds
from jax_bt.train.run import Run

PROBES = ("online_top1", "knn_top1")  # drawn beside the loss terms


def finish(
    run: Run,
    source: Source,
    folder: epath.Path,
    *,
    terms: tuple[str, ...],
    levels: dict[str, float],
    stages: dict[str, Variables],
    features: dict[str, Features],
) -> dict[str, Any]:
    """Probes the features, writes the report and the summary, and prints what was achieved.

    Args:
      run: the run.
      source: its data set.
      folder: the run's folder.
      terms: names of the loss and its terms.
      levels: losses to compare with, from ``levels.levels``.
      stages: parameters and statistics of step 0, "untrained", and of the last step, "trained".
      features: from ``evaluation.features``; empty where the data set cannot serve.

    Returns:
      What ``summary.json`` holds.
    """
    trained = stages["trained"]
    arrays = {kind: found.arrays for kind, found in features.items()}
    results = evaluate.compare(
        arrays,
        protocols=run.evaluation.protocols,
        folds=evaluation.folds(run, source, features),
    )
    retrieved = pairs.scores(run, source, stages)
    lines, checkpoints = read(folder), []
    if run.evaluation.checkpoints and run.evaluation.protocols:
        checkpoints = evaluation.of_checkpoints(run, source, folder / "checkpoints")
    summary = {
        "method": run.method.name,
        "dataset": run.data.name,
        "steps": run.total_steps,
        "seconds": total_seconds(lines),
        "images_per_second": rate(lines),
        "final_loss": {name: lines[-1][name] for name in terms},
        "collapse": collapse.last_verdict(lines, run.method.least_scale),
        "results": results,
        "checkpoints": checkpoints,
        "retrieval": retrieved,
    }
    page = report.write(
        folder,
        summary=summary,
        config=run.record,
        history=lines,
        terms=(*terms, *(name for name in PROBES if any(name in line for line in lines))),
        levels=levels,
        rates=tuple(run.rates),
        **pictures.of_views(run, source, stages),
        neighbours=pictures.of_neighbours(run, source, features.get("trained")),
        feature_map=pictures.of_map(run, source, features.get("trained"), trained),
    )
    export.leave(encoder.of_run(run, trained, run.total_steps), folder)
    workdir.write_json(folder / "summary.json", summary)  # last: it marks the run as finished
    why = evaluation.why_not(run, source)
    if results or not retrieved:
        print(table.text(evaluate.cells(results)) if results else f"not evaluated: {why}")
    if retrieved:
        print(table.text(report.pair_cells(retrieved)))
    if checkpoints:
        print(table.text(report.checkpoint_cells(checkpoints)))
    if summary["collapse"] in collapse.MEANING:
        print(collapse.words(summary["collapse"]))
    print(
        f"{run.method.name} on {run.data.name}: {summary['steps']} steps in "
        f"{summary['seconds']:.0f} s, {summary['images_per_second']:.0f} images/s"
    )
    print(f"encoder: {folder / encoder.WEIGHTS} (jax_bt.load, or the command export)")
    print(f"report: {page}")
    return summary
