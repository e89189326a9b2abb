"""What a data set is to the rest of the program: named splits of examples."""

import dataclasses
import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

import numpy as np

from jax_bt.data.sources import splits
from jax_bt.data.sources.tfrecord import StreamRecords
from jax_bt.errors import DataError

# The label of examples from a split without labels (STL-10's `unlabelled`) joined with one that
# has them.
UNLABELLED = -1


class Records(Protocol):
    """Examples that can be fetched by index, in any order.

    Attributes:
      size: number of examples.
      payload: what ``fetch`` returns: "image" (uint8 or float32 pixels, all of one shape),
        "bytes" (encoded images) or "path" (names of image files).
    """

    size: int
    payload: str

    def fetch(self, index: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
        """(B,) indices to (B, ...) payload and (B,) int32 labels, None without labels."""

    def labels(self) -> np.ndarray | None:
        """(size,) int32, None without labels."""

    def describe(self, index: int) -> str:
        """The name of one example, for messages."""


@dataclasses.dataclass(frozen=True)
class ArrayRecords:
    """Examples held in memory: pixels, or encoded images as an object array of ``bytes``."""

    images: np.ndarray
    targets: np.ndarray | None
    where: str
    payload: str = "image"

    @property
    def size(self) -> int:
        return len(self.images)

    def fetch(self, index: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
        return self.images[index], None if self.targets is None else self.targets[index]

    def labels(self) -> np.ndarray | None:
        return self.targets

    def describe(self, index: int) -> str:
        return f"example {index} of {self.where}"


@dataclasses.dataclass(frozen=True)
class Selection:
    """Pieces of other records, one after the other: what ``train[:10%]+test`` stands for."""

    pieces: Sequence[tuple[Records, int, int]]

    @property
    def payload(self) -> str:
        return self.pieces[0][0].payload

    @property
    def size(self) -> int:
        return sum(stop - start for _, start, stop in self.pieces)

    def _locate(self, index: np.ndarray):
        """Yields (which of ``index``, records, the indices in those records) a piece."""
        offset = 0
        for records, start, stop in self.pieces:
            here = np.flatnonzero((index >= offset) & (index < offset + stop - start))
            if here.size:
                yield here, records, index[here] - offset + start
            offset += stop - start

    @functools.cached_property
    def _labelled(self) -> bool:
        return any(records.fetch(np.arange(1))[1] is not None for records, _, _ in self.pieces)

    def fetch(self, index: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
        index = np.asarray(index)
        payloads, targets = None, np.full(len(index), UNLABELLED, np.int32)
        for here, records, inner in self._locate(index):
            payload, target = records.fetch(inner)
            if payloads is None:
                payloads = np.empty((len(index), *payload.shape[1:]), payload.dtype)
            payloads[here] = payload
            if target is not None:
                targets[here] = target
        return payloads, targets if self._labelled else None

    def labels(self) -> np.ndarray | None:
        if not self._labelled:
            return None
        parts = []
        for records, start, stop in self.pieces:
            labels = records.labels()
            unknown = np.full(stop - start, UNLABELLED, np.int32)
            parts.append(unknown if labels is None else labels[start:stop])
        return np.concatenate(parts)

    def describe(self, index: int) -> str:
        _, records, inner = next(self._locate(np.array([index])))
        return records.describe(int(inner[0]))


class Source:
    """A data set: named splits of images, with labels where it has them.

    Args:
      name: as the user wrote it.
      sizes: number of examples of every split.
      open_split: opens the records of one split; called once a split, when first needed.
      num_classes: None without labels.
      class_names: None where unknown.
      image_shape: (H, W, 3) where all images agree and it is known beforehand, else None.
    """

    def __init__(
        self,
        name: str,
        sizes: Mapping[str, int],
        open_split: Callable[[str], Records],
        *,
        num_classes: int | None = None,
        class_names: tuple[str, ...] | None = None,
        image_shape: tuple[int, int, int] | None = None,
    ):
        self.name = name
        self.num_classes = num_classes
        self.class_names = class_names
        self.image_shape = image_shape
        self._sizes = dict(sizes)
        self._open_split = open_split
        self._opened: dict[str, Records] = {}

    def __repr__(self) -> str:
        return f"Source({self.name!r}, {self._sizes})"

    @property
    def splits(self) -> tuple[str, ...]:
        """The names of the splits."""
        return tuple(self._sizes)

    def size(self, split: str) -> int:
        """Number of examples in a split or slice of it."""
        return sum(b - a for _, a, b in splits.parse(split, self._sizes, self.name))

    def labels(self, split: str) -> np.ndarray | None:
        """(size,) int32 labels in the order of the example indices, None without labels."""
        return self.records(split).labels()

    def records(self, split: str) -> Records | StreamRecords:
        """The examples of a split or slice, fetched by index.

        Raises:
          DataError: no such split, it is empty, or it joins what does not go together.
        """
        pieces = []
        for name, start, stop in splits.parse(split, self._sizes, self.name):
            if name not in self._opened:
                self._opened[name] = self._open_split(name)
            pieces.append((self._opened[name], start, stop))
        records, start, stop = pieces[0]
        if isinstance(records, StreamRecords):
            return _joined(pieces)
        if len(pieces) == 1 and (start, stop) == (0, records.size):
            return records
        forms = {_form(records) for records, _, _ in pieces}
        if len(forms) > 1:
            raise DataError(
                f"split {split!r} of {self.name} joins parts that are stored differently: "
                f"{' and '.join(sorted(forms))}"
            )
        return Selection(pieces)


def _form(records: Records) -> str:
    if records.payload != "image":
        return f"images as {records.payload}"
    first = records.fetch(np.arange(1))[0]
    return f"{'x'.join(map(str, first.shape[1:]))} pixels of {first.dtype}"


def _joined(pieces: Sequence[tuple[StreamRecords, int, int]]) -> StreamRecords:
    """Streams of one data set are streamed together, so that their order is mixed."""
    shards, first = [], 0
    for records, start, stop in pieces:
        shards += records.select(start, stop, first)
        first += stop - start
    return dataclasses.replace(pieces[0][0], shards=tuple(shards))
