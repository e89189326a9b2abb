"""Examples of a split, fetched by index: the protocols, arrays in memory, and selections."""

import dataclasses
import functools
from collections.abc import Sequence
from typing import Protocol

import numpy as np

from jax_bt.data import order

# The label of examples without one, in a split or a sum of splits that has labels elsewhere.
UNLABELLED = -1
# Labels of several classes per example, one per class; an example without labels has -1 for all.
PRESENT, ABSENT, DIFFICULT = 1, 0, -1
SAMPLED = 256  # the content of this many images enters a fingerprint


class Records(Protocol):
    """Examples that can be fetched by index, in any order."""

    @property
    def size(self) -> int:
        """Number of examples."""
        ...

    @property
    def payload(self) -> str:
        """What `fetch` returns: "image", pixels of one shape and type; "bytes", encoded images; or
        "path", names of image files."""
        ...

    def fetch(self, index: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
        """(B,) indices to (B, ...) payload and int32 labels, None without labels.

        Labels are (B,) classes, or (B, K) of several classes per example.
        """
        ...

    def labels(self) -> np.ndarray | None:
        """(size,) or (size, K) int32, None without labels."""
        ...

    def describe(self, index: int) -> str:
        """The name of one example, for messages."""
        ...


class Split(Records, Protocol):
    """All examples of a split."""

    def slice_order(self) -> np.ndarray | None:
        """(size,) the fixed order in which slices are taken; None: by index."""
        ...

    def identity(self) -> bytes:
        """Names or contents that change when the examples do."""
        ...


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

    @property
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
    def _unknown(self) -> np.ndarray | None:
        """The label of an example without one; None if no piece has labels."""
        first = (records.fetch(np.arange(1))[1] for records, _ in self.pieces)
        known = next((label for label in first if label is not None), None)
        return None if known is None else np.full(known.shape[1:], UNLABELLED, np.int32)

    def fetch(self, index: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
        index = np.asarray(index)
        found = [(here, *records.fetch(inner)) for here, records, inner in self._locate(index)]
        _, first, _ = found[0]
        payloads = np.empty((len(index), *first.shape[1:]), first.dtype)
        unknown = np.int32(UNLABELLED) if self._unknown is None else self._unknown
        targets = np.tile(unknown, (len(index), *[1] * unknown.ndim))
        for here, payload, target in found:
            payloads[here] = payload
            if target is not None:
                targets[here] = target
        return payloads, None if self._unknown is None else targets

    def labels(self) -> np.ndarray | None:
        if (unknown := self._unknown) is None:
            return None
        parts = []
        for records, members in self.pieces:
            labels = records.labels()
            none = np.tile(unknown, (len(members), *[1] * unknown.ndim))
            parts.append(none if labels is None else labels[members])
        return np.concatenate(parts)

    def describe(self, index: int) -> str:
        _, records, inner = next(self._locate(np.array([index])))
        return records.describe(int(inner[0]))
