"""Finds prepared TFDS data sets by name or folder, and prepares them."""

import os
import pathlib

import tensorflow_datasets as tfds

from jax_bt.data import names
from jax_bt.data.sources import files
from jax_bt.errors import DataError


def open_builder(
    name: str, data_dir: str | os.PathLike | None = None, download: bool = False
) -> tfds.core.DatasetBuilder:
    """The builder of a prepared data set.

    Args:
      name: ``cifar10``, ``name/config:version``, or the folder of one prepared version.
      data_dir: where data sets are prepared; None takes TFDS's default.
      download: prepare a registered data set that is missing, if it can be downloaded.

    Raises:
      DataError: unknown, not prepared, or with a description that cannot be read.
    """
    folder, where = names.expand(name), names.place(data_dir)
    with files.reading(where):
        files.is_file(where)  # raises where there is no driver for a remote path
    try:
        if is_prepared(folder):
            return tfds.builder_from_directory(folder)
        if names.is_name(name):
            return tfds.core.read_only_builder.builder_from_files(name, data_dir=where)
    except tfds.core.DatasetNotFoundError:
        pass
    except Exception as error:  # of whatever reads the description
        raise DataError(unreadable(f"TFDS data set {name!r}", error)) from error
    if not names.is_registered(name):
        raise DataError(
            f"{where}/{names.base(name)} holds no version of a data set that can be read: prepare "
            "it again, or give the folder of one version"
        )
    if download:
        builder = tfds.builder(name, data_dir=where)
        try:
            builder.download_and_prepare()
        except Exception as error:  # the network, the server, the disk: each has errors of its own
            raise DataError(
                f"TFDS could not download and prepare {name!r} in {where}: "
                f"{str(error).splitlines()[0]}. {_not_prepared(name, where)}"
            ) from error
        return builder
    raise DataError(_not_prepared(name, where))


def prepare(
    name: str, data_dir: str | os.PathLike | None = None, file_format: str = "array_record"
) -> tfds.core.DatasetBuilder:
    """Downloads a registered data set, where that can be done, and stores it for training.

    Args:
      name: as TFDS knows it, ``cifar10`` or ``name/config``.
      data_dir: where to; None takes TFDS's default.
      file_format: "array_record", which can be read in any order, or "tfrecord".

    Raises:
      DataError: files to be downloaded by hand are missing, or TFDS fails in another way.
    """
    where = names.place(data_dir)
    try:
        builder = tfds.builder(name, file_format=file_format, data_dir=where)
        builder.download_and_prepare()
    except Exception as error:  # whatever the data set's own code, its server or the disk does
        why = " ".join(str(error).split())[:300] or type(error).__name__
        raise DataError(f"data set {name!r} could not be prepared: {why}") from error
    return builder


def unreadable(where: str, error: Exception | str) -> str:
    """The line for files of a prepared data set that are damaged or missing."""
    why = " ".join(str(error).split())[:300]
    return f"{where} cannot be read: {why}; prepare it again"


def is_prepared(folder: str | os.PathLike) -> bool:
    """Whether a folder, local or remote, is one prepared version of a TFDS data set."""
    needed = ("dataset_info.json", "features.json")
    return all(files.is_file(f"{os.fspath(folder)}/{name}") for name in needed)


def prepared_inside(folder: str) -> list[pathlib.Path]:
    """Prepared versions of TFDS data sets up to two folders down, sorted."""
    inside = (pathlib.Path(folder).glob(depth) for depth in ("*", "*/*"))
    return sorted(path for paths in inside for path in paths if is_prepared(path))


def _not_prepared(name: str, where: str) -> str:
    manual = tfds.builder_cls(names.base(name)).MANUAL_DOWNLOAD_INSTRUCTIONS
    first = "" if manual else "add --config.data.download=True, or "
    if manual:
        steps = " ".join(manual.split())
        first = f"download it yourself into {where}/downloads/manual ({steps}), then "
    return (
        f"data set {name!r} is not prepared in {where}: {first}run `python -m jax_bt.data.prepare "
        f"{name} --data_dir={where}`, or try the program without it: "
        "--config=configs/barlow_digits.py"
    )
