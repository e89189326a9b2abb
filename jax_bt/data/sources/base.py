"""What a data set is to the rest of the program: named splits of examples."""

import dataclasses
import functools
import hashlib
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Protocol

import numpy as np

from jax_bt.data import order
from jax_bt.data.sources import splits
from jax_bt.data.sources.tfrecord import StreamRecords
from jax_bt.errors import DataError

# The label of examples without one, in a split or a sum of splits that has labels elsewhere.
UNLABELLED = -1
SAMPLED = 256  # of so many images the content enters a fingerprint


class Records(Protocol):
    """Examples that can be fetched by index, in any order.

    Attributes:
      size: number of examples.
      payload: what ``fetch`` returns: "image" (uint8, uint16 or float32 pixels, all of one shape),
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

    def slice_order(self) -> np.ndarray | None:
        """(size,) the fixed order in which slices are taken; None: by index."""

    def identity(self) -> bytes:
        """Names or contents that change when the examples do."""


@dataclasses.dataclass(frozen=True)
class ArrayRecords:
    """Examples held in memory: pixels, or encoded images as an object array of ``bytes``."""

    images: np.ndarray
    targets: np.ndarray | None
    where: str
    payload: str = "image"
    mix_slices: bool = False

    @property
    def size(self) -> int:
        return len(self.images)

    def fetch(self, index: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
        return self.images[index], None if self.targets is None else self.targets[index]

    def labels(self) -> np.ndarray | None:
        return self.targets

    def describe(self, index: int) -> str:
        return f"example {index} of {self.where}"

    def slice_order(self) -> np.ndarray | None:
        return order.permutation(self.size, seed=0, epoch=0) if self.mix_slices else None

    def identity(self) -> bytes:
        some = self.images[:: max(1, self.size // SAMPLED)]
        content = b"".join(some) if self.payload == "bytes" else some.tobytes()
        labels = b"" if self.targets is None else self.targets.tobytes()
        return f"{self.images.shape} {self.images.dtype} ".encode() + content + labels


@dataclasses.dataclass(frozen=True)
class Selection:
    """Chosen examples of other records, one after the other: such as ``train[:10%]+test``.

    Args:
      pieces: records, and the (n,) indices chosen of them.
    """

    pieces: Sequence[tuple[Records, np.ndarray]]

    @property
    def payload(self) -> str:
        return self.pieces[0][0].payload

    @functools.cached_property
    def size(self) -> int:
        return sum(len(members) for _, members in self.pieces)

    def _locate(self, index: np.ndarray):
        """Yields, per piece, (which of ``index``, records, the indices in those records)."""
        offset = 0
        for records, members in self.pieces:
            here = np.flatnonzero((index >= offset) & (index < offset + len(members)))
            if here.size:
                yield here, records, members[index[here] - offset]
            offset += len(members)

    @functools.cached_property
    def _labelled(self) -> bool:
        return any(records.fetch(np.arange(1))[1] is not None for records, _ in self.pieces)

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
        for records, members in self.pieces:
            labels = records.labels()
            unknown = np.full(len(members), UNLABELLED, np.int32)
            parts.append(unknown if labels is None else labels[members])
        return np.concatenate(parts)

    def describe(self, index: int) -> str:
        _, records, inner = next(self._locate(np.array([index])))
        return records.describe(int(inner[0]))


class Source:
    """A data set: named splits of images, with labels where it has them.

    Args:
      name: as the user wrote it.
      sizes: number of examples of every split.
      open_split: opens the records of one split; called once per split, when first needed.
      num_classes: None without labels.
      class_names: None where unknown.
      channels: of the images as batches hold them; one channel is repeated three times and is 3.
      unlabelled: the splits without labels, in a data set that has some.
      notes: lines about what was passed over, for `describe`.
    """

    def __init__(
        self,
        name: str,
        sizes: Mapping[str, int],
        open_split: Callable[[str], Records | StreamRecords],
        *,
        num_classes: int | None = None,
        class_names: tuple[str, ...] | None = None,
        channels: int = 3,
        unlabelled: Collection[str] = (),
        notes: Sequence[str] = (),
    ):
        self.name = name
        self.num_classes = num_classes
        self.class_names = class_names
        self.channels = channels
        self._sizes = dict(sizes)
        self._open_split = open_split
        self._unlabelled = frozenset(unlabelled if num_classes else sizes)
        self._notes = tuple(notes)
        self._opened: dict[str, Records | StreamRecords] = {}

    def __repr__(self) -> str:
        return f"Source({self.name!r}, {self._sizes})"

    @property
    def splits(self) -> tuple[str, ...]:
        """The names of the splits."""
        return tuple(self._sizes)

    def describe(self) -> str:
        """What was understood, in one line, and one line about each thing that was passed over."""
        parts = []
        for name, size in self._sizes.items():
            labels = " without labels" if self.num_classes and name in self._unlabelled else ""
            parts.append(f"{name} {size:,} image{'s' if size > 1 else ''}{labels}")
        parts.append(f"{self.num_classes} classes" if self.num_classes else "no labels")
        if self.num_classes and self.class_names:
            some = ", ".join(self.class_names[:3])
            parts[-1] += f" ({some}{', ...' if self.num_classes > 3 else ''})"
        if self.channels != 3:
            parts.append(f"{self.channels} channels")
        return "\n".join((f"{self.name}: {', '.join(parts)}", *self._notes))

    def size(self, split: str) -> int:
        """Number of examples in a split or slice of it."""
        return sum(b - a for _, a, b in splits.parse(split, self._sizes, self.name))

    def has_labels(self, split: str) -> bool:
        """Whether any example of a split has a label, told without reading any."""
        pieces = splits.parse(split, self._sizes, self.name)
        return any(name not in self._unlabelled for name, _, _ in pieces)

    def labels(self, split: str) -> np.ndarray | None:
        """(size,) int32 labels by example index, -1 where there is none; None without labels."""
        return self.records(split).labels()

    def fingerprint(self, split: str) -> dict[str, int | str]:
        """What tells that a data set has changed: its size, and a hash of names or contents.

        Args:
          split: such as ``train`` or ``train[:10%]``.

        Returns:
          {"size": number of examples, "names": 16 hexadecimal digits}. Of a folder the paths of
          the images enter, of arrays a sample of the pixels and all labels, of a TFDS data set its
          version and its number of examples and bytes.
        """
        digest = hashlib.blake2b(digest_size=8)
        for name, start, stop in splits.parse(split, self._sizes, self.name):
            digest.update(f"{name}[{start}:{stop}]".encode() + self._open(name).identity())
        return {"size": self.size(split), "names": digest.hexdigest()}

    def records(self, split: str) -> Records | StreamRecords:
        """The examples of a split or slice, fetched by index.

        A slice of a folder or of arrays takes its examples from a fixed random order of the split
        and then keeps them in the order of the split; TFDS has mixed them when it wrote them.

        Raises:
          DataError: no such split, it is empty, or it joins what does not go together.
        """
        pieces = []
        for name, start, stop in splits.parse(split, self._sizes, self.name):
            pieces.append((self._open(name), start, stop))
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
        return Selection([(piece[0], _members(*piece)) for piece in pieces])

    def _open(self, name: str) -> Records | StreamRecords:
        if name not in self._opened:
            self._opened[name] = self._open_split(name)
        return self._opened[name]


def _members(records: Records, start: int, stop: int) -> np.ndarray:
    """The indices of a slice, increasing."""
    if (start, stop) == (0, records.size) or (mixed := records.slice_order()) is None:
        return np.arange(start, stop)
    return np.sort(mixed[start:stop])


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
