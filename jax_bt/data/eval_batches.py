"""Yields every example of a split once, in order, or chosen examples, for evaluation."""

from collections.abc import Iterator, Sequence

import numpy as np
import tensorflow as tf

from jax_bt.augment.host.view import make_view, traced
from jax_bt.augment.parts import Recipe
from jax_bt.data.damaged import MAX_UNDECODABLE, Quarantine, reason, undecodable
from jax_bt.data.decode import pixels
from jax_bt.data.options import pipeline_options, worker_count
from jax_bt.data.sources.base import Source
from jax_bt.data.sources.tfrecord import StreamRecords
from jax_bt.data.train_batches import check_channels
from jax_bt.errors import DataError


def examples(
    source: Source,
    split: str,
    *,
    recipe: Recipe,
    batch: int = 256,
    process_index: int = 0,
    process_count: int = 1,
    skip: int = 0,
    max_undecodable: int = MAX_UNDECODABLE,
) -> Iterator[dict[str, np.ndarray]]:
    """All examples of a split, once, in the order of their indices; the last batch may be short.

    Images that cannot be decoded are reported by name and left out: where there are any, an
    example's position is not its index.

    Args:
      source: the data set.
      split: such as ``test`` or ``train[:10%]``.
      recipe: how an image is cropped and normalised: ``evaluation()`` of a recipe of the run.
      batch: examples per batch.
      process_index: of this process.
      process_count: number of processes; process p yields the examples p, p + count, ...
      skip: number of its examples that this process leaves out at the start.
      max_undecodable: more damaged images than this end the evaluation.

    Yields:
      A dict of "image": (B, S, S, C) float32, "index": (B,) int64 and, where the split has labels,
      "label": (B,) int32, -1 for examples without one, or (B, classes) where an example has several
      labels.

    Raises:
      DataError: no such split, or a recipe for another number of channels; later, if too many
        images cannot be decoded.
    """
    records = source.records(split)
    where = f"{source.name}, split {split!r}"
    check_channels(source, [recipe], where)
    mine = np.arange(process_index, records.size, process_count)[skip:]
    return _run(records, recipe, mine, batch, Quarantine(records, max_undecodable), where)


def chosen(
    source: Source, split: str, indices: Sequence[int] | np.ndarray, recipe: Recipe
) -> np.ndarray:
    """The images of some examples, by the "index" that batches give them.

    Args:
      source: the data set.
      split: the one that the indices count in.
      indices: (n,) of examples that can be decoded; the same may be given twice.
      recipe: as for `examples`.

    Returns:
      (n, S, S, C) float32, in the order of the indices.

    Raises:
      DataError: no such split, an index outside of it, or an image that cannot be decoded.
    """
    records = source.records(split)
    where = f"{source.name}, split {split!r}"
    check_channels(source, [recipe], where)
    unique, place = np.unique(np.asarray(indices, np.int64), return_inverse=True)
    if not unique.size:
        return np.zeros((0, recipe.size, recipe.size, recipe.channels), np.float32)
    if unique[0] < 0 or unique[-1] >= records.size:
        wrong = unique[0] if unique[0] < 0 else unique[-1]
        raise DataError(f"no example {wrong} in {where}, which has {records.size}")
    payload, _ = records.fetch(unique)
    raw = tf.data.Dataset.from_tensor_slices({"payload": payload})
    try:
        batches = list(_pipeline(raw, records, recipe, len(unique)).as_numpy_iterator())
    except tf.errors.OpError as error:
        for index, one in zip(unique, payload, strict=True):
            if why := undecodable(one, records.payload):
                name = records.describe(int(index))
                raise DataError(f"{name} cannot be decoded ({why})") from error
        raise DataError(f"{where}: reading failed: {reason(error)}") from error
    return batches[0]["image"][place]


def _run(records, recipe, mine, batch, quarantine, where) -> Iterator[dict[str, np.ndarray]]:
    failure = tf.errors.OpError  # bound here: a program that ends inside `yield` unloads tf first
    while True:
        raw = _raw(records, mine, batch).unbatch()
        try:
            for images in _pipeline(raw, records, recipe, batch).as_numpy_iterator():
                yield images
                mine = mine[len(images["index"]) :]
            return
        except failure as error:
            try:
                payloads = next(_raw(records, mine, batch).as_numpy_iterator())["payload"]
            except failure:  # a damaged file, not a damaged image
                payloads = []
            reasons = [undecodable(p, records.payload) for p in payloads]
            found = [(int(i), why) for i, why in zip(mine, reasons, strict=False) if why]
            if not found:
                raise DataError(f"{where}: reading failed: {reason(error)}") from error
            quarantine.add(found)
            mine = mine[[int(i) not in quarantine for i in mine]]


def _raw(records, mine: np.ndarray, batch: int) -> tf.data.Dataset:
    """Dicts of "index", "payload" and "label" (where there are labels), ``batch`` at a time."""
    if isinstance(records, StreamRecords):
        wanted = np.zeros(records.size, bool)
        wanted[mine] = True
        wanted = tf.constant(wanted)
        dataset = records.in_order().filter(lambda index, *_: wanted[index]).batch(batch)
        keys = ("index", "payload", "label") if records.labelled else ("index", "payload")
        return dataset.map(lambda *columns: dict(zip(keys, columns, strict=False)))

    payload, label = records.fetch(np.arange(1))
    kinds = (payload.dtype if records.payload == "image" else tf.string, tf.int32)

    def select(start):
        index = mine[start : start + batch]
        payload, label = records.fetch(index)
        return index, payload, np.zeros(0, np.int32) if label is None else label

    def fetch(start):
        index, images, targets = tf.numpy_function(select, [start], (tf.int64, *kinds))
        index.set_shape([None])
        images.set_shape([None, *payload.shape[1:]])
        targets.set_shape([None, *(() if label is None else label.shape[1:])])
        example = {"index": index, "payload": images}
        return example if label is None else example | {"label": targets}

    return tf.data.Dataset.range(0, len(mine), batch).map(fetch)


def _pipeline(raw: tf.data.Dataset, records, recipe: Recipe, batch: int) -> tf.data.Dataset:
    """From single examples to batches with "image" in place of "payload"."""
    workers = worker_count()
    make = traced(make_view, recipe)

    @tf.autograph.experimental.do_not_convert
    def view(example):
        image = pixels(example.pop("payload"), records.payload)
        # A recipe of evaluation draws nothing; one that does draws the same for every example.
        return example | {"image": make(image, tf.zeros(2, tf.int32))}

    dataset = raw.map(view, num_parallel_calls=workers).batch(batch).prefetch(2)
    return dataset.with_options(pipeline_options(workers))
