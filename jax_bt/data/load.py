"""One name or path selects the data set."""

import os
import pathlib

from jax_bt.data.arrays import load_digits, load_npz
from jax_bt.data.errors import DataError
from jax_bt.data.source import Source


def load(name: str, data_dir: str | os.PathLike | None = None) -> Source:
    """Opens a data set by name or path.

    Args:
      name: ``digits`` (embedded in scikit-learn), a path of an ``.npz`` file, a path of a folder
        of images or of a prepared TFDS data set, or the name of a TFDS data set (``cifar10``).
      data_dir: where TFDS data sets are prepared; None takes TFDS' own default.

    Returns:
      A Source.

    Raises:
      DataError: nothing of that name, or nothing usable in it.
    """
    if name == "digits":
        return load_digits()
    path = pathlib.Path(name).expanduser()
    if path.suffix == ".npz":
        if not path.is_file():
            raise DataError(f"no file {path}: check the path")
        return load_npz(path)
    raise DataError(f"no data set {name!r}")
