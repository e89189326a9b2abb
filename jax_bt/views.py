"""A look at what a config feeds the encoder: view pairs as a picture, and the pipeline's rate."""

import os
import pathlib
import time

from ml_collections import ConfigDict

from jax_bt import data, report, run
from jax_bt.errors import UsageError

SECONDS = 5.0  # how long the rate is measured


def write(config: ConfigDict, path: str | os.PathLike[str]) -> float:
    """Draws the first views of a run and measures the input pipeline by itself.

    Args:
      config: fields of ``jax_bt.config.base``.
      path: of the PNG.

    Returns:
      Images a second: examples, each with all its views, on this machine without training.

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
    batches = data.batches(
        source, config.data.train, global_batch=batch, seed=config.seed, recipes=recipes
    )
    first = next(batches)
    report.contact_sheet(path, first["views"], mean=recipes[0].mean, std=recipes[0].std)
    start, count = time.perf_counter(), 0
    while time.perf_counter() - start < SECONDS:
        next(batches)
        count += batch
    rate = count / (time.perf_counter() - start)
    print(
        f"{config.data.name}, recipe {config.data.recipe}: {len(recipes)} views of "
        f"{config.data.image_size} pixels, {rate:.0f} images/s on {os.cpu_count()} cores"
    )
    print(f"views: {path}")
    return rate
