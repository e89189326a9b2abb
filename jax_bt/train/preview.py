"""A look at what a config feeds the encoder: view pairs as a picture, and the pipeline's rate."""

import collections
import os
import pathlib
import time

from ml_collections import ConfigDict

from jax_bt import data, report, run
from jax_bt.data.options import worker_count
from jax_bt.errors import UsageError

SECONDS = 5.0  # how long the rate is measured


def write(config: ConfigDict, path: str | os.PathLike[str]) -> float:
    """Draws the first views of a run and measures the input pipeline by itself.

    Args:
      config: fields of ``jax_bt.config.base``.
      path: of the PNG.

    Returns:
      Images a second: examples, each with all its views, on this machine without training; with
      ``data.device_augment`` the host's part of them.

    Raises:
      UsageError: an unknown recipe, or a path that cannot be written.
    """
    path = pathlib.Path(path)
    if path.suffix.lower() != ".png" or not path.parent.is_dir():
        raise UsageError(f"--output={path}: give a .png file in a folder that exists")
    source = data.load(
        config.data.name, data_dir=config.data.data_dir, download=config.data.download
    )
    try:
        recipes = run.recipes(config)
    except ValueError as error:
        raise UsageError(str(error)) from error
    batch = min(config.batch_size, source.size(config.data.train), 256)
    options = {"global_batch": batch, "seed": config.seed, "recipes": recipes}
    batches = data.batches(source, config.data.train, **options)
    what = f"{_named(config)}: {_counted(recipes)}"
    report.contact_sheet(
        path,
        next(batches)["views"],
        mean=recipes[0].mean,
        std=recipes[0].std,
        subtitle=f"{pathlib.Path(config.data.name).name[:40]}, {what}",
    )
    part = ""
    if config.data.device_augment:
        part = " for the host's part (data.device_augment)"
        batches = data.batches(source, config.data.train, host_only=True, **options)
        next(batches)
    start, count = time.perf_counter(), 0
    while time.perf_counter() - start < SECONDS:
        next(batches)
        count += batch
    rate = count / (time.perf_counter() - start)
    print(f"{config.data.name}, {what}, {rate:.0f} images/s on {worker_count()} cores{part}")
    print(f"views: {path}")
    return rate


def _named(config: ConfigDict) -> str:
    return "recipe of its own" if config.data.built else f"recipe {config.data.recipe}"


def _counted(recipes) -> str:
    """How many of which size, as in "2 views of 224 and 6 of 96 pixels"."""
    counts = list(collections.Counter(recipe.size for recipe in recipes).items())
    views = [f"{count} views of {size}" for size, count in counts[:1]]
    views += [f"{count} of {size}" for size, count in counts[1:]]
    return " and ".join(views) + " pixels"
