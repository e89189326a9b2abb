"""Yields training batches, a pure function of (seed, step), on any number of processes."""

import functools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from jax_bt.augment import View
from jax_bt.augment.host import ops
from jax_bt.augment.host.place import place_of
from jax_bt.augment.host.view import crop_batch, finish_view, host_view, make_view, traced
from jax_bt.augment.parts import Crop, Recipe
from jax_bt.data import order
from jax_bt.data.damaged import MAX_UNDECODABLE, reason
from jax_bt.data.decode import pixels
from jax_bt.data.options import pipeline_options, worker_count
from jax_bt.data.raw_batches import Feed
from jax_bt.data.sources.base import Source
from jax_bt.errors import DataError

SMALL = 128  # pixels: larger arrays are cropped one by one, which then costs less


def batches(
    source: Source,
    split: str,
    *,
    global_batch: int,
    seed: int,
    recipes: Sequence[View],
    start_step: int = 0,
    process_index: int = 0,
    process_count: int = 1,
    host_only: bool = False,
    places: bool = False,
    prefetch: int = 2,
    max_undecodable: int = MAX_UNDECODABLE,
) -> Iterator[dict[str, Any]]:
    """Endless batches of augmented views.

    Step s takes the global batch number s % (size // global_batch) of epoch s // (size //
    global_batch); an epoch is a keyed permutation of the examples (of a large TFRecord set: its
    shards in keyed order, interleaved, through a seeded shuffle buffer) of which the incomplete
    last batch is dropped. The views of an example depend on (seed, epoch, example index, view)
    alone.

    Args:
      source: the data set.
      split: such as ``train`` or ``train[:10%]``.
      global_batch: examples in a step over all processes.
      seed: of the run.
      recipes: one ``jax_bt.augment.Recipe`` per view of the image; a view of another modality
        (``jax_bt.augment.Tokens``) is made of the data set's column (``jax_bt.data.prepared``).
      start_step: the first step to yield; starting there equals having run to it.
      process_index: of this process.
      process_count: number of processes; each yields its slice of the same global batch.
      host_only: stop at the crop, in 8 bits; ``jax_bt.augment.device.views`` does the rest.
      places: tell where each view lies in its image; all views are of images.
      prefetch: batches prepared ahead.
      max_undecodable: more damaged images than this end the run.

    Yields:
      A dict of "views": one float32 (local_batch, S, S, C) per recipe (uint8 with ``host_only``),
      or int32 (local_batch, length) of captions;
      "index": (local_batch,) int64; "label": (local_batch,) int32 where the split has labels, -1
      for examples without one; with ``places`` "places": one float32 (local_batch, 2, 3) per
      recipe, as `jax_bt.augment.places` defines it (of the crop with ``host_only``).

    Raises:
      DataError: at once, if the batch is larger than the split or does not divide over the
        processes, or a recipe is for another number of channels; later, if too many images cannot
        be decoded or none is left that can.
    """
    records = source.records(split)
    where = f"{source.name}, split {split!r}"
    check_channels(source, recipes, where)
    _check_batch(records.size, global_batch, process_count, where)
    feed = Feed(
        records,
        global_batch=global_batch,
        seed=seed,
        views=len(recipes),
        process_index=process_index,
        process_count=process_count,
        limit=max_undecodable,
    )
    make = host_view if host_only else make_view
    locate = functools.partial(place_of, host_only=host_only) if places else None
    others = {
        place: source.column(split, recipe.array)
        for place, recipe in enumerate(recipes)
        if not isinstance(recipe, Recipe)
    }
    made = _run(feed, recipes, make, locate, start_step, prefetch, where)
    return _with_others(made, recipes, others, start_step, feed) if others else made


def _with_others(
    made: Iterator[dict[str, Any]],
    recipes: Sequence[View],
    columns: Mapping[int, np.ndarray],
    step: int,
    feed: Feed,
) -> Iterator[dict[str, Any]]:
    """The batches with the views that are not of images, drawn of their columns by number."""
    every = order.steps_per_epoch(feed.records.size, feed.global_batch)
    for number, batch in enumerate(made, step):
        index, views = batch["index"], [*batch["views"]]
        seeds = order.example_seeds(
            index, seed=feed.seed, epoch=number // every, views=len(recipes)
        )
        for place, column in columns.items():
            views.insert(place, recipes[place].draw(column[index], seeds[:, place]))
        yield batch | {"views": tuple(views)}


def _run(
    feed: Feed, recipes, make, locate, step: int, prefetch: int, where: str
) -> Iterator[dict[str, Any]]:
    """Yields batches; after a damaged image builds the pipeline again, without it.

    That keeps the common case free of checks: an image that fails to decode is the error of its
    step, whose examples are then tried one by one.
    """
    failure = tf.errors.OpError  # bound here: a program that ends inside `yield` unloads tf first
    while True:
        pipeline = _pipeline(feed, recipes, make, locate, step, prefetch).as_numpy_iterator()
        try:
            for batch in pipeline:
                yield batch
                step += 1
        except failure as error:
            found = feed.diagnose(step)
            if not found:
                raise DataError(f"{where}: reading step {step} failed: {reason(error)}") from error
            if not feed.quarantine.add(found):  # nothing was there to take their place
                name = feed.records.describe(found[0][0])
                raise DataError(
                    f"{where}: no image is left that can take the place of {name}, which cannot "
                    f"be decoded ({found[0][1]}): repair or remove the damaged images, the names "
                    "are in the log"
                ) from error


def _pipeline(feed: Feed, recipes, make, locate, step: int, prefetch: int) -> tf.data.Dataset:
    workers = worker_count()
    of_images = {i: recipe for i, recipe in enumerate(recipes) if isinstance(recipe, Recipe)}
    dataset = feed.dataset(step)

    def placed(image, seeds):
        """The places of an example's views, or of a batch of examples of one shape."""
        if locate is None:
            return {}
        shape = tf.shape(image)[-3:-1]
        return {"places": tuple(locate(shape, r, seeds[..., i, :]) for i, r in of_images.items())}

    finish = make
    if _small(feed.spec.shape, [*of_images.values()]):
        # Whole batches are cropped at once, ten times as fast; the other parts follow one by one.
        finish = finish_view
        crop = functools.partial(_crop_batch, recipes=of_images, eight_bits=make is host_view)
        dataset = dataset.map(
            lambda batch: placed(batch["payload"], batch["seeds"]) | crop(batch),
            num_parallel_calls=workers,
        )
        if make is host_view:
            return dataset.prefetch(prefetch).with_options(pipeline_options(workers))
    functions = {i: traced(finish, recipe) for i, recipe in of_images.items()}

    def augment(example):
        seeds, payload = example.pop("seeds"), example.pop("payload")
        if finish is make:
            image = pixels(payload, feed.records.payload)
            payload = (image,) * len(functions)
            example |= placed(image, seeds)
        each = zip(functions.items(), payload, strict=True)
        made = tuple(function(image, seeds[i]) for (i, function), image in each)
        return example | {"views": made}

    # More examples than threads: no thread waits while finished examples are put into a batch.
    dataset = dataset.unbatch().map(augment, num_parallel_calls=4 * workers)
    dataset = dataset.batch(feed.local, drop_remainder=True).prefetch(prefetch)
    return dataset.with_options(pipeline_options(workers))


def _small(shape: tf.TensorShape, recipes: Sequence[Recipe]) -> bool:
    """Whether these are small arrays of one shape, for which `crop_batch` is faster."""
    if shape.rank != 3 or max(shape[:2]) > SMALL:
        return False
    return all(isinstance(recipe.parts[0], Crop) and recipe.size <= SMALL for recipe in recipes)


def _crop_batch(batch: dict, recipes: Mapping[int, Recipe], eight_bits: bool) -> dict:
    seeds, images = batch["seeds"], batch.pop("payload")
    crops = tuple(crop_batch(images, r, seeds[:, i]) for i, r in recipes.items())
    if eight_bits:
        batch.pop("seeds")
        return batch | {"views": tuple(ops.to_uint8(ops.to_image(crop)) for crop in crops)}
    return batch | {"payload": crops}


def check_channels(source: Source, recipes: Sequence[View], where: str) -> None:
    """Refuses recipes for another number of channels than the images have.

    Raises:
      DataError: with what to do.
    """
    for recipe in recipes:
        if isinstance(recipe, Recipe) and recipe.channels != source.channels:
            raise DataError(
                f"images of {where} have {source.channels} channels, and the recipe's mean and std "
                f"{recipe.channels}: use augment.for_channels(recipes, {source.channels})"
            )


def _check_batch(size: int, global_batch: int, process_count: int, where: str) -> None:
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
