"""A data set: its named splits, and what is known of them before any image is read."""

import copy
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
      columns: by name, what gives an array of a whole split: (size, ...), in the order of its
        examples. Captions are (size, captions) texts, "" for none.
      notes: lines about what was passed over, for `describe`.

    Attributes:
      facts: numbers that networks need and `jax_bt.data.prepared` has found, such as "words".
      kept: by name, the text files that a run keeps in its folder, such as a vocabulary.
    """

    facts: Mapping[str, int] = {}
    kept: Mapping[str, str] = {}

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
        columns: Mapping[str, Callable[[str], np.ndarray]] | None = None,
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
        self._columns = dict(columns or {})
        self._arrays: dict[tuple[str, str], np.ndarray] = {}
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
        parts += [name for name in self._columns if "/" not in name]  # not what was derived
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

    def folds(self, split: str) -> np.ndarray:
        """(size,) int32: which part of a sum of splits each example is of, counted from 0.

        Of "fold1+fold2+fold3" these are 0, 1 and 2: the folds of a cross-validation.

        Raises:
          DataError: no such split, or parts that share examples.
        """
        pieces = splits.parse(split, self._sizes, self.name)
        for i, (name, start, stop) in enumerate(pieces):
            for other, first, end in pieces[:i]:
                if name == other and start < end and first < stop:
                    raise DataError(
                        f"two parts of {split!r} of {self.name} share examples of {name}: folds "
                        "must not"
                    )
        sizes = [stop - start for _, start, stop in pieces]
        return np.repeat(np.arange(len(pieces), dtype=np.int32), sizes)

    def fingerprint(self, split: str) -> dict[str, int | str]:
        """What tells that a data set has changed: its size, and a hash of names or contents.

        Args:
          split: such as ``train`` or ``train[:10%]``.

        Returns:
          {"size": number of examples, "names": 16 hexadecimal digits}. Of a folder the paths of
          the images enter, of arrays a sample of the pixels and all labels, of a TFDS data set its
          version and its number of examples and bytes; beside them all further columns.
        """
        digest = hashlib.blake2b(digest_size=8)
        for name, start, stop in splits.parse(split, self._sizes, self.name):
            digest.update(f"{name}[{start}:{stop}]".encode() + self._open(name).identity())
        for name in sorted(name for name in self._columns if "/" not in name):  # not the derived
            column = self.column(split, name)
            text = "\n".join(column.ravel()).encode() if column.dtype.kind in "UO" else b""
            digest.update(f"{name} {column.shape} ".encode() + (text or column.tobytes()))
        return {"size": self.size(split), "names": digest.hexdigest()}

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the arrays beside images and labels."""
        return tuple(self._columns)

    def column(self, split: str, name: str) -> np.ndarray:
        """An array of a split beside images and labels, (size, ...) by example index.

        Raises:
          DataError: no such split or column.
        """
        if name not in self._columns:
            has = ", ".join(self._columns) or "images and labels alone"
            raise DataError(f"{self.name} has no {name!r}: it has {has}")
        if (split, name) not in self._arrays:
            parts = [
                self._columns[name](of)[_members(self._open(of), start, stop)]
                for of, start, stop in splits.parse(split, self._sizes, self.name)
            ]
            self._arrays[split, name] = _stacked(parts)
        return self._arrays[split, name]

    def with_column(
        self,
        name: str,
        of: str | None,
        function: Callable[[np.ndarray], np.ndarray],
        *,
        facts: Mapping[str, int],
        kept: Mapping[str, str],
    ) -> "Source":
        """The same data set with a further column.

        Args:
          name: of the new column.
          of: the column that it is made of; None for the images.
          function: (size, ...) array of that column to (size, ...), example by example.
          facts, kept: to be added to those of the data set.
        """
        other = copy.copy(self)
        made = self._images if of is None else self._columns[of]
        other._columns = {**self._columns, name: lambda split: function(made(split))}
        other._arrays = {}
        other.facts, other.kept = {**self.facts, **facts}, {**self.kept, **kept}
        return other

    def _images(self, split: str) -> np.ndarray:
        """All images of a whole split; DataError where they are no arrays of one shape."""
        records = self._open(split)
        if isinstance(records, StreamRecords) or records.payload != "image":
            raise DataError(f"the images of {self.name} are files: give them as arrays (.npz)")
        return records.fetch(np.arange(records.size))[0]

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


def _stacked(parts: Sequence[np.ndarray]) -> np.ndarray:
    """The arrays one after the other; the second axis, such as captions, padded to the longest."""
    if len(parts) == 1:
        return parts[0]
    if parts[0].ndim == 1:
        return np.concatenate(parts)
    most = max(part.shape[1] for part in parts)
    padded = []
    for part in parts:
        empty = "" if part.dtype.kind in "UO" else 0
        shape = (len(part), most - part.shape[1], *part.shape[2:])
        padded.append(np.concatenate([part, np.full(shape, empty, part.dtype)], axis=1))
    return np.concatenate(padded)


def _members(records: Split | StreamRecords, start: int, stop: int) -> np.ndarray:
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
