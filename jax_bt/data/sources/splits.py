"""Reads split names with slices as in TFDS: ``train``, ``train[:10%]``, ``train+test``."""

import difflib
import re
from collections.abc import Mapping

from jax_bt.errors import DataError

_PART = re.compile(r"(?P<name>[^\[\]+]+)(\[(?P<start>-?\d+%?)?:(?P<stop>-?\d+%?)?\])?")


def parse(spec: str, sizes: Mapping[str, int], where: str) -> list[tuple[str, int, int]]:
    """Turns a split name into the pieces it stands for.

    Percentages are rounded to the nearest example and negative bounds count from the end, as in
    TFDS, so that the same text selects the same examples there and here.

    Args:
      spec: such as ``train``, ``train[:10%]``, ``train[500:]``, ``train+unlabelled``.
      sizes: number of examples of every split.
      where: the data set's name, for messages.

    Returns:
      A list of (split, start, stop).

    Raises:
      DataError: the text cannot be read, names a missing split, or selects nothing.
    """
    pieces = []
    for part in spec.split("+"):
        match = _PART.fullmatch(part.strip())
        if match is None:
            raise DataError(
                f"split {spec!r} of {where} cannot be read: write it like 'train', 'train[:10%]' "
                "or 'train+test'"
            )
        name = match["name"].strip()
        if name not in sizes:
            near = difflib.get_close_matches(name, sizes, n=1)
            hint = f" (did you mean {near[0]!r}?)" if near else ""
            raise DataError(f"{where} has no split {name!r}{hint}: it has {', '.join(sizes)}")
        size = sizes[name]
        start = _bound(match["start"], size, 0)
        stop = _bound(match["stop"], size, size)
        if start >= stop:
            raise DataError(f"split {spec!r} of {where} is empty: {name} has {size} examples")
        pieces.append((name, start, stop))
    return pieces


def names(spec: str) -> list[str]:
    """The names in a split's text, in order, whether the data set has them or not."""
    return [part.partition("[")[0].strip() for part in spec.split("+")]


def _bound(text: str | None, size: int, default: int) -> int:
    if text is None:
        return default
    value = round(int(text[:-1]) * size / 100) if text.endswith("%") else int(text)
    return min(max(value + size if value < 0 else value, 0), size)
