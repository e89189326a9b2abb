"""A data set: its named splits, and what is known of them before any image is read."""

import dataclasses
import hashlib
from collections.abc import Callable, Collection, Mapping, Sequence

import numpy as np

from jax_bt.data.sources import splits
from jax_bt.data.sources.records import Records, Selection, Split
from jax_bt.data.sources.tfrecord import StreamRecords
from jax_bt.errors import DataError


class Source:
    """A data set: named splits of images, with labels where it has them.

    Args:
      name: as the user wrote it.
      sizes: number of examples of every split.
      open_split: opens the records of one split; called once per split, when first needed.
      num_classes: None without labels.
      class_names: None where unknown.
      channels: of the images as batches hold them; one channel is repeated three times and is 3.
      several: whether an example has several labels, one per class: 1 present, 0 absent, -1
        difficult objects only.
      unlabelled: the splits without labels, in a data set that has some.
      notes: lines about what was passed over, for `describe`.
    """

    def __init__(
        self,
        name: str,
        sizes: Mapping[str, int],
        open_split: Callable[[str], Split | StreamRecords],
        *,
        num_classes: int | None = None,
        class_names: tuple[str, ...] | None = None,
        channels: int = 3,
        several: bool = False,
        unlabelled: Collection[str] = (),
        notes: Sequence[str] = (),
    ):
        self.name = name
        self.num_classes = num_classes
        self.class_names = class_names
        self.channels = channels
        self.several = several
        self._sizes = dict(sizes)
        self._open_split = open_split
        self._unlabelled = frozenset(unlabelled if num_classes else sizes)
        self._notes = tuple(notes)
        self._opened: dict[str, Split | StreamRecords] = {}
        self._selected: dict[str, Records | StreamRecords] = {}

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
        if self.several:
            parts[-1] += ", several labels per image"
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
        """(size,) int32 labels by example index, -1 where there is none; None without labels.

        Of a data set with several labels per example (size, classes): 1, 0, or -1 for difficult.
        """
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
        if split not in self._selected:
            self._selected[split] = self._select(split)
        return self._selected[split]

    def _select(self, split: str) -> Records | StreamRecords:
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

    def _open(self, name: str) -> Split | StreamRecords:
        if name not in self._opened:
            self._opened[name] = self._open_split(name)
        return self._opened[name]


def _members(records: Split, start: int, stop: int) -> np.ndarray:
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
