"""Evaluates the encoder of a run: features of labelled splits under every protocol."""

import dataclasses
import functools
import warnings
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import jax
import numpy as np
from etils import epath
from jax.sharding import Mesh

from jax_bt import data, evaluate
from jax_bt.data import Source
from jax_bt.data.sources import splits
from jax_bt.data.sources.base import Selection
from jax_bt.data.sources.tfrecord import StreamRecords
from jax_bt.devices import processes
from jax_bt.devices.mesh import replicated
from jax_bt.errors import CheckpointError
from jax_bt.methods import Variables
from jax_bt.train import checkpoint
from jax_bt.train.run import Run
from jax_bt.train.state import TrainState

# Of larger splits this many examples enter the evaluations while training.
MOST_TRAIN, MOST_TEST = 10_000, 2_000


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
    if source.several:
        return (
            f"{run.data.name} has several labels per image: use the command evaluate "
            "--protocols=voc07_svm"
        )
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
    size, examples = source.size(run.data.probe), None
    if size <= evaluate.MOST_EXAMPLES:  # reading the labels takes no time then
        examples = counts(source, run.data.probe)
    where = f"{run.data.name} {run.data.probe}"
    parts = len(splits.names(run.data.probe))
    for name in run.evaluation.protocols:
        evaluate.find(name).check(examples=size, counts=examples, where=where, folds=parts)
    if _over_folds(run):
        source.folds(run.data.probe)


def _over_folds(run: Run) -> bool:
    return any(evaluate.find(p).module.NEEDS == "folds" for p in run.evaluation.protocols)


def folds(run: Run, source: Source, found: Mapping[str, Features]) -> np.ndarray | None:
    """(N,) fold of each training row of the features; None where no protocol needs it."""
    if not found or not _over_folds(run):
        return None
    return source.folds(run.data.probe)[next(iter(found.values())).train_index]


def counts(source: Source, split: str) -> np.ndarray:
    """Examples of each class: (classes that occur,), or (K,) where an example has several of K."""
    labels = source.labels(split)
    if source.several:
        return np.count_nonzero(labels == 1, axis=0)
    return np.unique(labels[labels >= 0], return_counts=True)[1]


def features(run: Run, source: Source, stages: Mapping[str, Variables]) -> dict[str, Features]:
    """Features of the probes' split and of the test split, by kind, on the devices of the run.

    Every process calls this with the same variables, computes its share, and gets all.

    Args:
      run: the run.
      source: its data set.
      stages: variables by name, "trained" and others.

    Returns:
      "trained", and with ``evaluate.baselines`` "raw_pixels" and "untrained" before it; nothing
      where the data set cannot serve (``why_not``).
    """
    if why_not(run, source):
        return {}
    kinds: dict[str, Callable[[Any], Any]] = {
        name: _represent(run, variables) for name, variables in stages.items()
    }
    if run.evaluation.baselines:
        kinds = {"raw_pixels": jax.jit(lambda images: images.reshape(len(images), -1)), **kinds}
    else:
        kinds = {"trained": kinds["trained"]}
    return {
        kind: Features(
            *_labelled(run, apply, source, run.data.probe, run.mesh),
            *_labelled(run, apply, source, run.data.test, run.mesh),
        )
        for kind, apply in kinds.items()
    }


def while_training(run: Run, source: Source, state: TrainState) -> dict[str, float]:
    """kNN of the encoder as it is, on a part of the data and on the devices of the run.

    Every process calls this with the same state.

    Args:
      run: the run.
      source: its data set.
      state: the training state, of which nothing is changed.

    Returns:
      {"knn_top1": percent}; nothing where there are no labels.
    """
    if why_not(run, source):
        return {}
    arrays = _parts(run, source, state.variables, run.mesh)
    return {"knn_top1": evaluate.knn(*arrays, k=20, mesh=run.mesh)["top1"]}


def of_checkpoints(run: Run, source: Source, folder: epath.Path) -> list[dict[str, Any]]:
    """What each kept checkpoint is worth on a part of the data, oldest first; on one process.

    RankMe needs no label: it tells which checkpoint to take where nobody can probe. What a killed
    process had no time to delete does not count, and a checkpoint that cannot be read is left out
    with a warning.

    Args:
      run: the run.
      source: its data set.
      folder: of the checkpoints.

    Returns:
      {"step", "rankme", "knn_top1": percent, where there are labels} each; empty for less than two.
    """
    have, keep, every = checkpoint.steps(folder), run.checkpoints.keep, run.checkpoints.keep_every
    kept = [step for step in have if step in have[-keep:] or every and step % every == 0]
    records, like = [], jax.eval_shape(run.init_state)
    for step in kept if len(kept) > 1 else ():
        try:
            variables = checkpoint.read(folder, like, step=step).variables
        except CheckpointError as error:
            warnings.warn(f"not evaluated: {error}", stacklevel=2)
            continue
        scores = {}
        if why_not(run, source):
            x, _, _ = some(run, source, run.data.train, variables, MOST_TRAIN)
        else:
            x, *others = _parts(run, source, variables)
            scores = {"knn_top1": evaluate.knn(x, *others, k=20)["top1"]}
        records.append({"step": step, "rankme": evaluate.rankme(x), **scores})
    return records


def _parts(
    run: Run, source: Source, variables: Variables, mesh: Mesh | None = None
) -> list[np.ndarray]:
    """(train_x, train_y, test_x, test_y) of a part of the data; without a mesh, on this process."""
    apply = functools.partial(run.represent, variables)
    arrays = []
    for split, most in ((run.data.probe, MOST_TRAIN), (run.data.test, MOST_TEST)):
        x, y, _ = _labelled(run, apply, _part(source, split, most), "part", mesh)
        arrays += [x, y]
    return arrays


def _represent(run: Run, variables: Variables) -> Callable[[Any], Any]:
    return functools.partial(run.represent, jax.device_put(variables, replicated(run.mesh)))


def _part(source: Source, split: str, most: int) -> Source:
    """At most so many examples of a split, evenly spaced, as the split "part" of a data set."""
    records = source.records(split)
    chosen = np.linspace(0, records.size - 1, min(most, records.size)).astype(int)
    if isinstance(records, StreamRecords):
        part = dataclasses.replace(records, shards=records.select(0, len(chosen), 0))
    else:
        part = Selection([(records, chosen)])
    return Source(
        source.name,
        {"part": len(chosen)},
        lambda name: part,
        num_classes=source.num_classes,
        channels=source.channels,
        several=source.several,
    )


def some(
    run: Run, source: Source, split: str, variables: Variables, most: int
) -> tuple[np.ndarray, np.ndarray, Source]:
    """Features of a few examples, labelled or not.

    Args:
      run: the run.
      source: its data set.
      split: of the data set.
      variables: of the encoder.
      most: at most this many examples, evenly spaced over the split.

    Returns:
      (N, F) float32, the examples' (N,) indices in the split "part" of the data set, and that.
    """
    part = _part(source, split, most)
    x, _, index = evaluate.extract(
        functools.partial(run.represent, variables), images(run, part, "part")
    )
    return x, index, part


def images(run: Run, source: Source, split: str, **share: int) -> Iterator[dict[str, np.ndarray]]:
    """Batches of a split, or this process's share, as the run's encoder sees them in evaluation."""
    return data.examples(
        source,
        split,
        recipe=run.data.recipes[0].evaluation(),
        batch=run.evaluation.batch_size,
        **share,
    )


def _labelled(
    run: Run, apply: Callable[[Any], Any], source: Source, split: str, mesh: Mesh | None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Features, labels and indices of the examples that have a label.

    With a mesh, every process of it computes its share.
    """
    share = {} if mesh is None else processes.share()
    x, y, index = evaluate.extract(apply, images(run, source, split, **share), mesh)
    y = np.full(len(x), -1) if y is None else y
    known = y >= 0
    return x[known], y[known], index[known]
