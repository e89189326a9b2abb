"""Opens the data set that a name, a path or arrays stand for."""

import os
from collections.abc import Mapping
from typing import Any

from jax_bt.data import names
from jax_bt.data.sources import files, smoke
from jax_bt.data.sources.arrays import from_arrays, load_digits, load_npz
from jax_bt.data.sources.audio import is_audio, load_audio
from jax_bt.data.sources.base import Source
from jax_bt.data.sources.folder import load_folder
from jax_bt.data.sources.tfds import load_tfds
from jax_bt.data.sources.tfds_files import is_prepared
from jax_bt.data.sources.voc import load_voc, root_of
from jax_bt.errors import DataError


def load(
    data: str | os.PathLike | Source | Mapping[str, Any] | Any,
    data_dir: str | os.PathLike | None = None,
    *,
    download: bool = False,
) -> Source:
    """Opens a data set by name or path, or takes it from memory.

    Args:
      data: ``digits`` (embedded in scikit-learn), a path of an ``.npz`` file (as it stands, or in
        ``data_dir``), a path of a folder of images, in PASCAL VOC's or ESC-50's layout or of a
        prepared TFDS data set, or the name of a TFDS data set (``cifar10``). Apart from ``digits``,
        a folder of that name in the current directory comes first. Paths may begin with ``~`` or be
        remote (gs://, s3://). Or a Source; or what `from_arrays` takes, a mapping of splits; or the
        images of one split, train.
      data_dir: where TFDS data sets are prepared; None takes TFDS's default.
      download: let TFDS download and prepare a data set that is missing.

    Returns:
      A Source.

    Raises:
      DataError: nothing of that name, or nothing usable in it.
    """
    if isinstance(data, Source):
        return data
    if not isinstance(data, str | os.PathLike):
        return from_arrays(data if isinstance(data, Mapping) else {"train": data})
    name = os.fspath(data)
    if name == "digits":
        return load_digits()
    if name == names.SMOKE:
        return smoke.with_sounds(load_tfds(name, smoke.prepare(data_dir)))
    path = names.found(name, data_dir)
    with files.reading(path):
        names.check(name, data_dir)
        if names.is_npz(path) and not files.is_folder(path):
            return load_npz(path)
        if files.is_folder(path) and not is_prepared(path):
            if is_audio(path):
                return load_audio(path)
            root = root_of(path)
            return load_voc(path, root) if root else load_folder(path)
        if files.is_remote(path) and not is_prepared(path):
            raise DataError(f"no folder {path}: check the path")
    return load_tfds(name, data_dir, download=download)
