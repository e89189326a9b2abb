"""Evaluation batches: every example of a split once, in its fixed order."""

from collections.abc import Iterator

import numpy as np
import tensorflow as tf

from jax_bt import augment
from jax_bt.augment.host.view import make_view
from jax_bt.augment.parts import Recipe
from jax_bt.data.damaged import MAX_UNDECODABLE, Quarantine, reason, undecodable
from jax_bt.data.decode import pixels
from jax_bt.data.options import pipeline_options, worker_count
from jax_bt.data.sources.base import Source
from jax_bt.data.sources.tfrecord import StreamRecords
from jax_bt.errors import DataError


def examples(
    source: Source,
    split: str,
    *,
    size: int,
    recipe: Recipe | None = None,
    batch: int = 256,
    process_index: int = 0,
    process_count: int = 1,
    max_undecodable: int = MAX_UNDECODABLE,
) -> Iterator[dict[str, np.ndarray]]:
    """All examples of a split, once, in the order of their indices; the last batch may be short.

    Images that cannot be decoded are reported by name and left out.

    Args:
      source: the data set.
      split: such as ``test`` or ``train[:10%]``.
      size: S, height and width of the images, where no recipe is given.
      recipe: a ``jax_bt.augment.Recipe``; None takes the "eval" recipe at this size.
      batch: examples a batch.
      process_index: of this process.
      process_count: number of processes; process p yields the examples p, p + count, ...
      max_undecodable: more damaged images than this end the evaluation.

    Yields:
      A dict of "image": (B, S, S, 3) float32, "index": (B,) int64 and, where the data set has
      labels, "label": (B,) int32.

    Raises:
      DataError: no such split; later, if too many images cannot be decoded.
    """
    records = source.records(split)
    if recipe is None:
        (recipe,) = augment.recipes("eval", size=size)
    mine = np.arange(process_index, records.size, process_count)
    where = f"{source.name}, split {split!r}"
    return _run(records, recipe, mine, batch, Quarantine(records, max_undecodable), where)


def _run(records, recipe, mine, batch, quarantine, where) -> Iterator[dict[str, np.ndarray]]:
    failure = tf.errors.OpError  # bound here: a program that ends inside `yield` unloads tf first
    while True:
        raw = _raw(records, mine, batch)
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
        targets.set_shape([None])
        example = {"index": index, "payload": images}
        return example if label is None else example | {"label": targets}

    return tf.data.Dataset.range(0, len(mine), batch).map(fetch)


def _pipeline(raw: tf.data.Dataset, records, recipe: Recipe, batch: int) -> tf.data.Dataset:
    workers = worker_count()

    @tf.autograph.experimental.do_not_convert
    def view(example):
        image = pixels(example.pop("payload"), records.payload)
        # A recipe of evaluation draws nothing; one that does draws the same for every example.
        return example | {"image": make_view(image, recipe, tf.zeros(2, tf.int32))}

    dataset = raw.unbatch().map(view, num_parallel_calls=workers).batch(batch).prefetch(2)
    return dataset.with_options(pipeline_options(workers))
