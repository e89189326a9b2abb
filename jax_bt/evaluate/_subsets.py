"""Reads lists of example names, such as the 1 % and 10 % of ImageNet that the papers share."""

import collections
import os
import pathlib
from collections.abc import Sequence

import numpy as np

from jax_bt.errors import DataError


def read_list(path: str | os.PathLike) -> list[str]:
    """The names in a file, one per line.

    The papers' lists are google-research/simclr imagenet_subsets/1percent.txt (12,811 names) and
    10percent.txt (128,116), with lines such as "n04235860_14959.JPEG".

    Raises:
      DataError: the file cannot be read, is empty, or has a name twice.
    """
    try:
        lines = pathlib.Path(path).read_text(encoding="utf-8").split()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: no list of names: {error}") from error
    if not lines:
        raise DataError(f"{path}: the list of names is empty")
    name, count = collections.Counter(lines).most_common(1)[0]
    if count > 1:
        raise DataError(f"{path}: {name!r} is there {count} times")
    return lines


def class_of(name: str) -> str:
    """The class in a name of ImageNet: "n04235860" of "n04235860_14959.JPEG"."""
    return os.path.basename(name).split("_")[0]


def select(wanted: Sequence[str], names: Sequence[str]) -> np.ndarray:
    """Indices of the wanted examples, in the order of the list.

    Args:
      wanted: from ``read_list``.
      names: of all examples of a split by index; folders before the file's name are not looked at.

    Returns:
      (len(wanted),) int64.

    Raises:
      DataError: an example that is not there.
    """
    place = {os.path.basename(name): index for index, name in enumerate(names)}
    missing = [name for name in wanted if os.path.basename(name) not in place]
    if missing:
        raise DataError(
            f"{len(missing)} of {len(wanted)} listed examples are not in the split, {missing[0]!r} "
            "first: the list is for another data set, or the files have other names"
        )
    return np.array([place[os.path.basename(name)] for name in wanted], np.int64)
