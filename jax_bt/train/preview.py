"""Draws what a config feeds the encoder, and measures the rate of the input pipeline alone."""

import collections
import os
import pathlib
import time

from jax_bt import augment, data, report
from jax_bt.data.options import worker_count
from jax_bt.errors import UsageError
from jax_bt.train.run import Data

SECONDS = 5.0  # duration of the measurement


def write(reads: Data, path: str | os.PathLike[str]) -> float:
    """Draws the first views of a run and measures the input pipeline by itself.

    Args:
      reads: what the run reads, from ``build.read_data``.
      path: of the PNG.

    Returns:
      Images per second: examples, each with all its views, on this machine without training; with
      ``data.device_augment`` the host's part of them.

    Raises:
      UsageError: a path that cannot be written.
    """
    path = pathlib.Path(path).expanduser()
    if path.suffix.lower() != ".png" or not path.parent.is_dir():
        raise UsageError(f"--output={path}: give a .png file in a folder that exists")
    source = data.load(reads.name, data_dir=reads.data_dir, download=reads.download)
    source = data.prepared(source, reads.recipes, reads.train)
    recipes = augment.for_channels(reads.recipes, source.channels)
    batch = min(reads.batch_size, source.size(reads.train), 256)
    options = {"global_batch": batch, "seed": reads.seed, "recipes": recipes}
    batches = data.batches(source, reads.train, **options)
    what = f"{reads.recipe}: {_counted(recipes)}"
    try:
        report.contact_sheet(
            path,
            [view for view in next(batches)["views"] if view.ndim == 4],
            mean=recipes[0].mean,
            std=recipes[0].std,
            subtitle=f"{pathlib.Path(reads.name).name[:40]}, {what}",
        )
    except OSError as error:
        raise UsageError(f"--output={path} cannot be written: {error.strerror}") from error
    part = ""
    if reads.on_device:
        part = " for the host's part (data.device_augment)"
        batches = data.batches(source, reads.train, host_only=True, **options)
        next(batches)
    start, count = time.perf_counter(), 0
    while time.perf_counter() - start < SECONDS:
        next(batches)
        count += batch
    rate = count / (time.perf_counter() - start)
    print(f"{reads.name}, {what}, {rate:.0f} images/s on {worker_count()} cores{part}")
    print(f"views: {path}")
    return rate


def _counted(recipes: tuple) -> str:
    """How many of which size, as in "2 views of 224 and 6 of 96 pixels"."""
    images = [recipe for recipe in recipes if recipe.modality == "image"]
    counts = list(collections.Counter(recipe.size for recipe in images).items())
    views = [f"{count} view{'s' * (count > 1)} of {size}" for size, count in counts[:1]]
    views += [f"{count} of {size}" for size, count in counts[1:]]
    others = [f", 1 of {recipe.modality}" for recipe in recipes if recipe not in images]
    return " and ".join(views) + " pixels" + "".join(others)
