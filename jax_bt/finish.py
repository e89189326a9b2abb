"""The end of a run: what the encoder learned, as a table, a report and ``summary.json``."""

import pathlib
from typing import Any

import jax
import numpy as np
from ml_collections import ConfigDict

from jax_bt import data, evaluate, metrics, workdir
from jax_bt import run as runs
from jax_bt.state import TrainState

Split = tuple[np.ndarray, np.ndarray | None]
SHOWN_PAIRS = 12  # view pairs in the report


def finish(
    run: runs.Run, config: ConfigDict, source: data.Source, state: TrainState, folder: pathlib.Path
) -> dict[str, Any]:
    """Evaluates, writes the report and the summary, and prints what was achieved.

    Args:
      run: the run's objects.
      config: its config.
      source: its data set.
      state: the trained state.
      folder: the run's folder.

    Returns:
      What ``summary.json`` holds.
    """
    untrained = runs.init_state(run, config)
    states = {"untrained": untrained, "trained": state}
    features = {}
    if source.labels(config.data.train) is not None and config.data.test in source.splits:
        features = extract(run, config, source, states)
    results = evaluate.compare(features, protocols=tuple(config.evaluate.protocols))
    history = metrics.read(folder)
    summary = {
        "method": config.method,
        "dataset": config.data.name,
        "steps": int(state.step),
        "seconds": metrics.total_seconds(history),
        "images_per_second": metrics.median_rate(history),
        "final_loss": {k: history[-1][k] for k in ("loss", *run.method.TERMS)},
        "results": results,
    }
    workdir.write_json(folder / "summary.json", summary)
    return summary


def extract(
    run: runs.Run, config: ConfigDict, source: data.Source, states: dict[str, TrainState]
) -> dict[str, tuple[np.ndarray, ...]]:
    """Features of the training and test split by kind, for ``evaluate.compare``."""
    represent = jax.jit(run.networks.represent)
    kinds = {"raw_pixels": lambda images: images.reshape(len(images), -1)}
    for name, state in states.items():
        variables = {"params": state.params, "batch_stats": state.batch_stats}
        kinds[name] = lambda images, variables=variables: represent(variables, images)
    if not config.evaluate.baselines:
        kinds = {"trained": kinds["trained"]}
    recipe = run.recipes[0].evaluation()

    def split(apply, name):
        batches = data.examples(
            source, name, size=recipe.size, recipe=recipe, batch=config.evaluate.batch_size
        )
        return evaluate.extract(apply, batches)

    return {
        kind: (*split(apply, config.data.train), *split(apply, config.data.test))
        for kind, apply in kinds.items()
    }
