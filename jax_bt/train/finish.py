"""The end of a run: what the encoder learned, as a table, a report and ``summary.json``."""

import functools
import pathlib
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from ml_collections import ConfigDict

from jax_bt import data, diagnostics, evaluate, metrics, report, stats, watch, workdir
from jax_bt import run as runs
from jax_bt.data import splits as split_names
from jax_bt.methods._networks import Variables
from jax_bt.train.monitor import loss_terms

QUERIES, NEIGHBOURS = 6, 8  # test images in the report, and training images beside each
PAIRS = 512  # view pairs that the cross-correlation is estimated from
DIMENSIONS = 1024  # of a wider embedding, the first so many enter it

Features = dict[str, tuple[np.ndarray, ...]]


def finish(
    run: runs.Run,
    config: ConfigDict,
    source: data.Source,
    folder: pathlib.Path,
    *,
    untrained: Variables,
    trained: Variables,
) -> dict[str, Any]:
    """Evaluates, writes the report and the summary, and prints what was achieved.

    Args:
      run: the run's objects.
      config: its config.
      source: its data set.
      folder: the run's folder.
      untrained: parameters and statistics of step 0.
      trained: those of the last step.

    Returns:
      What ``summary.json`` holds.
    """
    stages = {"untrained": untrained, "trained": trained}
    features, results = {}, []
    if evaluated(config, source):
        features = extract(run, config, source, stages)
        results = evaluate.compare(features, protocols=tuple(config.evaluate.protocols))
    else:
        print(f"{config.data.name} has no labels or no split {config.data.test!r}: not evaluated")
    history = metrics.read(folder)
    summary = {
        "method": config.method,
        "dataset": config.data.name,
        "steps": run.total_steps,
        "seconds": metrics.total_seconds(history),
        "images_per_second": metrics.rate(history),
        "final_loss": loss_terms(history[-1]),
        "collapse": watch.last_verdict(history, run.method),
        "results": results,
    }
    page = report.write(
        folder,
        summary=summary,
        config=config.to_dict(),
        history=history,
        terms=tuple(summary["final_loss"]),
        **pictured(run, config, source, stages),
        neighbours=neighbours(run, config, source, features.get("trained")),
    )
    workdir.write_json(folder / "summary.json", summary)  # last: it marks the run as finished
    if results:
        print(evaluate.table(results))
    if summary["collapse"] in watch.MEANING:
        print(f"{summary['collapse']} collapse: {watch.MEANING[summary['collapse']]}")
    print(
        f"{config.method} on {config.data.name}: {summary['steps']} steps in "
        f"{summary['seconds']:.0f} s, {summary['images_per_second']:.0f} images/s"
    )
    print(f"report: {page}")
    return summary


def report_path(folder: pathlib.Path) -> pathlib.Path:
    """Where the report of a finished run is."""
    return folder / "report" / "index.html"


def can_evaluate(config: ConfigDict, source: data.Source) -> bool:
    """Whether the data set has classes and a test split, told without reading any of it."""
    named = split_names.names(config.data.test)
    return source.num_classes is not None and all(name in source.splits for name in named)


def evaluated(config: ConfigDict, source: data.Source) -> bool:
    """Whether the data set has what the protocols need: a test split with labels."""
    return can_evaluate(config, source) and source.labels(config.data.test) is not None


def extract(
    run: runs.Run, config: ConfigDict, source: data.Source, stages: dict[str, Variables]
) -> Features:
    """Features of the training and test split by kind, for ``evaluate.compare``.

    Raw pixels and the untrained encoder come too if the config asks for baselines.
    """
    represent = jax.jit(run.networks.represent)
    kinds: dict[str, Callable[[np.ndarray], Any]] = {
        name: functools.partial(represent, variables) for name, variables in stages.items()
    }
    if config.evaluate.baselines:
        kinds = {"raw_pixels": lambda images: images.reshape(len(images), -1), **kinds}
    else:
        kinds = {"trained": kinds["trained"]}
    splits = (config.data.train, config.data.test)
    return {
        kind: tuple(
            array
            for split in splits
            for array in evaluate.extract(apply, _images(run, config, source, split))
        )
        for kind, apply in kinds.items()
    }


def pictured(
    run: runs.Run, config: ConfigDict, source: data.Source, stages: dict[str, Variables]
) -> dict[str, Any]:
    """View pairs, and what the encoder makes of them before and after training."""
    batch = min(PAIRS, source.size(config.data.train))
    batches = data.batches(
        source, config.data.train, global_batch=batch, seed=config.seed, recipes=run.recipes
    )
    views = next(batches)["views"]
    embed = jax.jit(run.networks.embed)
    correlations, spectra = [], []
    for variables in stages.values():
        z_a, z_b = (embed(variables, view)[:, :DIMENSIONS] for view in views[:2])
        correlations.append(np.asarray(stats.cross_correlation(z_a, z_b)))
        spectra.append(np.asarray(diagnostics.spectrum(z_a)))
    recipe = run.recipes[0]
    return {
        "views": views,
        "mean": recipe.mean,
        "std": recipe.std,
        "correlations": tuple(correlations),
        "spectra": tuple(spectra),
    }


def neighbours(
    run: runs.Run,
    config: ConfigDict,
    source: data.Source,
    features: tuple[np.ndarray, ...] | None,
) -> dict[str, Any] | None:
    """A few test images and their nearest training images by cosine; None without features."""
    if features is None:
        return None
    train_x, train_y, test_x, test_y = features
    queries = np.linspace(0, len(test_x) - 1, QUERIES).astype(int)
    unit = train_x / np.maximum(np.linalg.norm(train_x, axis=1, keepdims=True), 1e-12)
    nearest = np.argsort(-(test_x[queries] @ unit.T), axis=1)[:, :NEIGHBOURS]
    test_images = _chosen(run, config, source, config.data.test, queries)
    train_images = _chosen(run, config, source, config.data.train, nearest.ravel())
    return {
        "queries": test_images,
        "found": train_images.reshape(*nearest.shape, *train_images.shape[1:]),
        "query_labels": test_y[queries],
        "found_labels": train_y[nearest],
        "class_names": source.class_names,
    }


def _images(run: runs.Run, config: ConfigDict, source: data.Source, split: str):
    recipe = run.recipes[0].evaluation()
    batch = config.evaluate.batch_size
    return data.examples(source, split, size=recipe.size, recipe=recipe, batch=batch)


def _chosen(run, config, source, split: str, wanted: np.ndarray) -> np.ndarray:
    """The images of some indices, by one pass over the split."""
    found = {}
    for batch in _images(run, config, source, split):
        for image, index in zip(batch["image"], batch["index"], strict=True):
            if index in wanted:
                found[int(index)] = image
    return np.stack([found[int(index)] for index in wanted])
