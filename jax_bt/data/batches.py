"""Training batches: a pure function of (seed, step), on any number of processes."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from jax_bt.data import order, views
from jax_bt.data.decode import pixels
from jax_bt.data.errors import DataError
from jax_bt.data.options import pipeline_options, worker_count
from jax_bt.data.source import Source

FOREVER = 2**62  # steps


def batches(
    source: Source,
    split: str,
    *,
    global_batch: int,
    seed: int,
    recipes: Sequence[Any],
    start_step: int = 0,
    process_index: int = 0,
    process_count: int = 1,
    host_only: bool = False,
    prefetch: int = 2,
) -> Iterator[dict[str, Any]]:
    """Endless batches of augmented views.

    Step s takes the global batch number s % (size // global_batch) of epoch s // (size //
    global_batch); an epoch is a keyed permutation of the examples of which the incomplete last
    batch is dropped. The views of an example depend on (seed, epoch, example index, view) alone.

    Args:
      source: the data set.
      split: such as ``train`` or ``train[:10%]``.
      global_batch: examples in a step over all processes.
      seed: of the run.
      recipes: one ``jax_bt.augment.Recipe`` per view.
      start_step: the first step to yield; starting there equals having run to it.
      process_index: of this process.
      process_count: number of processes; each yields its slice of the same global batch.
      host_only: yield uint8 crops and leave colour, blur and normalisation to the device.
      prefetch: batches prepared ahead.

    Yields:
      A dict of "views": one float32 (local_batch, S, S, 3) per recipe (uint8 with ``host_only``);
      "index": (local_batch,) int64; "seeds": (local_batch, views, 2) uint32, the keys of the
      views; "label": (local_batch,) int32 where the data set has labels.

    Raises:
      DataError: the batch is larger than the split or does not divide the processes.
    """
    records = source.records(split)
    check_batch(records.size, global_batch, process_count, f"{source.name}, split {split!r}")
    place = {"process_index": process_index, "process_count": process_count}
    labelled = records.fetch(np.arange(1))[1] is not None

    def select(step):
        epoch, positions = order.batch_positions(
            int(step), size=records.size, global_batch=global_batch, **place
        )
        index = order.recent_permutation(records.size, seed=seed, epoch=epoch)[positions]
        seeds = order.example_seeds(index, seed=seed, epoch=epoch, views=len(recipes))
        payload, label = records.fetch(index)
        return index, seeds.view(np.int32), payload, label if labelled else np.zeros(0, np.int32)

    local = global_batch // process_count
    workers = worker_count()
    payload_spec = payload_signature(records)

    def fetch(step):
        types = (tf.int64, tf.int32, payload_spec.dtype, tf.int32)
        index, seeds, payload, label = tf.numpy_function(select, [step], types)
        index.set_shape([local])
        seeds.set_shape([local, len(recipes), 2])
        payload.set_shape([local, *payload_spec.shape])
        example = {"index": index, "seeds": seeds, "payload": payload}
        if labelled:
            label.set_shape([local])
            example["label"] = label
        return example

    def augment(example):
        example = dict(example)
        image = pixels(example.pop("payload"), records.payload)
        make = views.crop_view if host_only else views.make_view
        example["views"] = tuple(
            make(image, recipe, example["seeds"][i]) for i, recipe in enumerate(recipes)
        )
        return example

    dataset = tf.data.Dataset.range(start_step, FOREVER).map(fetch, num_parallel_calls=1)
    dataset = dataset.unbatch().map(augment, num_parallel_calls=workers)
    dataset = dataset.batch(local, drop_remainder=True).prefetch(prefetch)
    for batch in dataset.with_options(pipeline_options(workers)).as_numpy_iterator():
        batch["seeds"] = batch["seeds"].view(np.uint32)
        yield batch


def check_batch(size: int, global_batch: int, process_count: int, where: str) -> None:
    """Refuses a batch that the split or the processes cannot serve."""
    if not 0 < global_batch <= size:
        raise DataError(
            f"a batch of {global_batch} does not fit {where}, which has {size} examples: choose a "
            f"batch of 1 to {size}"
        )
    if global_batch % process_count:
        raise DataError(
            f"a batch of {global_batch} does not divide over {process_count} processes: choose a "
            f"multiple of {process_count}"
        )


def payload_signature(records) -> tf.TensorSpec:
    """Shape and dtype of one example's payload."""
    if records.payload != "image":
        return tf.TensorSpec([], tf.string)
    first = records.fetch(np.arange(1))[0]
    return tf.TensorSpec(first.shape[1:], tf.as_dtype(first.dtype))
