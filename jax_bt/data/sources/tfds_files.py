"""Prepared TFDS data sets: found by name or folder, or prepared."""

import difflib
import os
import pathlib

import tensorflow_datasets as tfds
from tensorflow_datasets.core import naming

from jax_bt.errors import DataError


def open_builder(
    name: str, data_dir: str | os.PathLike | None = None, download: bool = False
) -> tfds.core.DatasetBuilder:
    """The builder of a prepared data set.

    Args:
      name: ``cifar10``, ``name/config:version``, or the folder of one prepared version.
      data_dir: where data sets are prepared; None takes TFDS' default.
      download: prepare a registered data set that is missing, if it can be downloaded.

    Raises:
      DataError: unknown, not prepared, or with a description that cannot be read.
    """
    folder = pathlib.Path(name).expanduser()
    place = {} if data_dir is None else {"data_dir": os.path.expanduser(data_dir)}
    where = place.get("data_dir", tfds.core.constants.DATA_DIR)
    try:
        if is_prepared(folder):
            return tfds.builder_from_directory(folder)
        if _is_name(name):
            return tfds.core.read_only_builder.builder_from_files(name, **place)
    except tfds.core.DatasetNotFoundError:
        pass
    except Exception as error:  # of whatever reads the description
        raise DataError(unreadable(f"TFDS data set {name!r}", error)) from error
    base = name.split("/")[0].split(":")[0]
    registered = tfds.list_builders(with_community_datasets=False)
    if base not in registered or not _is_name(name):
        raise DataError(_unknown(name, where, registered))
    if download:
        builder = tfds.builder(name, **place)
        try:
            builder.download_and_prepare()
        except Exception as error:  # the network, the server, the disk: each has errors of its own
            raise DataError(
                f"TFDS could not download and prepare {name!r} in {where}: "
                f"{str(error).splitlines()[0]}. {_not_prepared(name, base, where)}"
            ) from error
        return builder
    raise DataError(_not_prepared(name, base, where))


def prepare(
    name: str, data_dir: str | os.PathLike | None = None, file_format: str = "array_record"
) -> tfds.core.DatasetBuilder:
    """Downloads a registered data set, where that can be done, and stores it for training.

    Args:
      name: as TFDS knows it, ``cifar10`` or ``name/config``.
      data_dir: where to; None takes TFDS' default.
      file_format: "array_record", which can be read in any order, or "tfrecord".

    Raises:
      DataError: files to be downloaded by hand are missing, or TFDS fails in another way.
    """
    place = {} if data_dir is None else {"data_dir": os.path.expanduser(data_dir)}
    try:
        builder = tfds.builder(name, file_format=file_format, **place)
        builder.download_and_prepare()
    except Exception as error:  # whatever the data set's own code, its server or the disk does
        why = " ".join(str(error).split())[:300] or type(error).__name__
        raise DataError(f"data set {name!r} could not be prepared: {why}") from error
    return builder


def unreadable(where: str, error: Exception | str) -> str:
    """The line for files of a prepared data set that are damaged or missing."""
    why = " ".join(str(error).split())[:300]
    return f"{where} cannot be read: {why}; prepare it again"


def is_prepared(folder: pathlib.Path) -> bool:
    """Whether a folder is one prepared version of a TFDS data set."""
    return (folder / "dataset_info.json").is_file() and (folder / "features.json").is_file()


def prepared_inside(folder: pathlib.Path) -> list[pathlib.Path]:
    """Prepared versions of TFDS data sets up to two folders down, sorted."""
    return sorted(p for depth in ("*", "*/*") for p in folder.glob(depth) if is_prepared(p))


def _is_name(name: str) -> bool:
    try:
        naming.parse_builder_name_kwargs(name)
    except ValueError:  # "my-photos", "a/b/c"
        return False
    return True


def _unknown(name: str, where, registered: list[str]) -> str:
    prepared = [p.name for p in pathlib.Path(where).glob("*") if p.is_dir()]
    near = difflib.get_close_matches(name, ["digits", *prepared, *registered], n=3)
    hint = f"; close names: {', '.join(near)}" if near else ""
    return (
        f"no data set {name!r}: it is neither 'digits', a file or folder here, prepared in "
        f"{where}, nor known to TFDS{hint}"
    )


def _not_prepared(name: str, base: str, where) -> str:
    manual = tfds.builder_cls(base).MANUAL_DOWNLOAD_INSTRUCTIONS
    first = "" if manual else "add --config.data.download=True, or "
    if manual:
        steps = " ".join(manual.split())
        first = f"download it yourself into {where}/downloads/manual ({steps}), then "
    return (
        f"data set {name!r} is not prepared in {where}: {first}run `python -m jax_bt.data.prepare "
        f"{name} --data_dir={where}`, or try the program without it: "
        "--config=configs/barlow_digits.py"
    )
