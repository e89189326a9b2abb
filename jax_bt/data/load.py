"""One name or path selects the data set."""

import os
import pathlib

from jax_bt.data.sources import smoke
from jax_bt.data.sources.arrays import load_digits, load_npz
from jax_bt.data.sources.base import Source
from jax_bt.data.sources.folder import load_folder
from jax_bt.data.sources.tfds import load_tfds
from jax_bt.data.sources.tfds_files import is_prepared
from jax_bt.errors import DataError


def load(name: str, data_dir: str | os.PathLike | None = None, *, download: bool = False) -> Source:
    """Opens a data set by name or path.

    Args:
      name: ``digits`` (embedded in scikit-learn), a path of an ``.npz`` file, a path of a folder
        of images or of a prepared TFDS data set, or the name of a TFDS data set (``cifar10``). A
        folder of that name in the current directory comes first.
      data_dir: where TFDS data sets are prepared; None takes TFDS' own default.
      download: let TFDS download and prepare a data set that is missing.

    Returns:
      A Source.

    Raises:
      DataError: nothing of that name, or nothing usable in it.
    """
    if name == "digits":
        return load_digits()
    if name == smoke.NAME:
        return load_tfds(name, smoke.prepare(data_dir))
    if not name.strip():
        raise DataError("no data set given: set data.name to a name, a folder or a .npz file")
    path = pathlib.Path(name).expanduser()
    if path.suffix == ".npz":
        if not path.is_file():
            raise DataError(f"no file {path}: check the path")
        return load_npz(path)
    if path.is_dir() and not is_prepared(path):
        try:
            return load_folder(path)
        except OSError as error:
            raise DataError(f"folder {path} cannot be read: {error}") from error
    if not path.exists() and (path.is_absolute() or name.startswith((".", "~"))):
        raise DataError(f"no folder {path}: check the path")
    if path.is_file():
        raise DataError(f"{path} is not a data set: give a .npz file or a folder of images")
    return load_tfds(name, data_dir, download=download)
