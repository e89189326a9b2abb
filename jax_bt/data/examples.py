"""Evaluation batches: every example of a split once, in its fixed order."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import tensorflow as tf

from jax_bt import augment
from jax_bt.data import order, views
from jax_bt.data.batches import payload_signature
from jax_bt.data.decode import pixels
from jax_bt.data.options import pipeline_options, worker_count
from jax_bt.data.source import Source


def examples(
    source: Source,
    split: str,
    *,
    size: int,
    recipe: Any = None,
    batch: int = 256,
    process_index: int = 0,
    process_count: int = 1,
) -> Iterator[dict[str, np.ndarray]]:
    """All examples of a split, once, in the order of their indices; the last batch may be short.

    Args:
      source: the data set.
      split: such as ``test`` or ``train[:10%]``.
      size: S, height and width of the images.
      recipe: a ``jax_bt.augment.Recipe``; None takes the "eval" recipe at this size.
      batch: examples a batch.
      process_index: of this process.
      process_count: number of processes; process p yields the examples p, p + count, ...

    Yields:
      A dict of "image": (B, S, S, 3) float32, "index": (B,) int64 and, where the data set has
      labels, "label": (B,) int32.
    """
    records = source.records(split)
    if recipe is None:
        (recipe,) = augment.recipes("eval", size=size)
    spec = payload_signature(records)
    labelled = records.fetch(np.arange(1))[1] is not None
    mine = np.arange(process_index, records.size, process_count)

    def select(start):
        index = mine[start : start + batch]
        # A recipe of evaluation draws nothing; one that does gets the seeds of epoch 0.
        seeds = order.example_seeds(index, seed=0, epoch=0, views=1)[:, 0].view(np.int32)
        payload, label = records.fetch(index)
        return index, seeds, payload, label if labelled else np.zeros(len(index), np.int32)

    def fetch(start):
        types = (tf.int64, tf.int32, spec.dtype, tf.int32)
        index, seeds, payload, label = tf.numpy_function(select, [start], types)
        index.set_shape([None])
        seeds.set_shape([None, 2])
        payload.set_shape([None, *spec.shape])
        label.set_shape([None])
        return index, seeds, payload, label

    def view(index, seeds, payload, label):
        image = views.make_view(pixels(payload, records.payload), recipe, seeds)
        return {"image": image, "index": index} | ({"label": label} if labelled else {})

    workers = worker_count()
    dataset = tf.data.Dataset.range(0, len(mine), batch).map(fetch).unbatch()
    dataset = dataset.map(view, num_parallel_calls=workers).batch(batch).prefetch(2)
    yield from dataset.with_options(pipeline_options(workers)).as_numpy_iterator()
