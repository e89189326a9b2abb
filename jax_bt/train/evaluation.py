"""Evaluates the encoder of a run: features of labelled splits under every protocol."""

import functools
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import jax
import numpy as np

from jax_bt import data, evaluate
from jax_bt.data import Source
from jax_bt.data.sources import splits
from jax_bt.methods import Variables
from jax_bt.train.build import Run


class Features(NamedTuple):
    """Features of the labelled examples of two splits, with what identifies the examples.

    Attributes:
      train_x, test_x: (N, F) float32.
      train_y, test_y: (N,) int64 labels.
      train_index, test_index: (N,) int64 indices of the examples in their split.
    """

    train_x: np.ndarray
    train_y: np.ndarray
    train_index: np.ndarray
    test_x: np.ndarray
    test_y: np.ndarray
    test_index: np.ndarray

    @property
    def arrays(self) -> tuple[np.ndarray, ...]:
        """(train_x, train_y, test_x, test_y), as protocols take them."""
        return self.train_x, self.train_y, self.test_x, self.test_y


def why_not(run: Run, source: Source) -> str | None:
    """Why a data set cannot serve the evaluation, told without reading images; None if it can."""
    if not run.evaluation.protocols:
        return "evaluate.protocols is empty"
    if source.num_classes is None:
        return f"{run.data.name} has no labels"
    for split in (run.data.probe, run.data.test):
        for name in splits.names(split):
            if name not in source.splits:
                has = ", ".join(source.splits)
                return (
                    f"{run.data.name} has no split {name!r}; --config.data.test names one of {has}"
                )
        if not source.has_labels(split):
            return f"{run.data.name} {split} has no labels"
    return None


def check(run: Run, source: Source) -> None:
    """Checks before the first step that every protocol can be run after the last.

    Raises:
      UsageError: a protocol that wants more than the data set has.
    """
    if why_not(run, source):
        return
    size, counts = source.size(run.data.probe), None
    if size <= evaluate.MOST_EXAMPLES:  # reading the labels takes no time then
        labels = source.labels(run.data.probe)
        counts = np.unique(labels[labels >= 0], return_counts=True)[1]
    where = f"{run.data.name} {run.data.probe}"
    for name in run.evaluation.protocols:
        evaluate.find(name).check(examples=size, counts=counts, where=where)


def features(run: Run, source: Source, stages: Mapping[str, Variables]) -> dict[str, Features]:
    """Features of the probes' split and of the test split, by kind.

    Args:
      run: the run.
      source: its data set.
      stages: variables by name, "trained" and others.

    Returns:
      "trained", and with ``evaluate.baselines`` "raw_pixels" and "untrained" before it.
    """
    represent = jax.jit(run.networks.represent)
    kinds: dict[str, Callable[[np.ndarray], Any]] = {
        name: functools.partial(represent, variables) for name, variables in stages.items()
    }
    if run.evaluation.baselines:
        kinds = {"raw_pixels": lambda images: images.reshape(len(images), -1), **kinds}
    else:
        kinds = {"trained": kinds["trained"]}
    return {
        kind: Features(
            *_labelled(apply, images(run, source, run.data.probe)),
            *_labelled(apply, images(run, source, run.data.test)),
        )
        for kind, apply in kinds.items()
    }


def images(run: Run, source: Source, split: str) -> Iterator[dict[str, np.ndarray]]:
    """Batches of a split as the run's encoder sees images in evaluation."""
    return data.examples(
        source,
        split,
        recipe=run.data.recipes[0].evaluation(),
        batch=run.evaluation.batch_size,
    )


def _labelled(
    apply: Callable[[np.ndarray], Any], batches: Iterator[dict[str, np.ndarray]]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Features, labels and indices of the examples that have a label."""
    x, y, index = evaluate.extract(apply, batches)
    y = np.full(len(x), -1) if y is None else y
    known = y >= 0
    return x[known], y[known], index[known]
