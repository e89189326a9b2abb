"""Makes a view of an example's captions: one of them, as word numbers."""

import dataclasses
from typing import ClassVar

import numpy as np

from jax_bt.errors import UsageError


@dataclasses.dataclass(frozen=True)
class Tokens:
    """How a view of a text is made: one caption, drawn anew in every epoch.

    Args:
      length: words that a view holds; a longer caption is cut, a shorter one is followed by 0.
      column: name of the data set's captions.
      least_count: words that occur less often in the training split are unknown.
      evaluated: at most so many captions of an example are evaluated, the first ones; None: all.

    Raises:
      UsageError: a number below 1.
    """

    length: int = 32
    column: str = "captions"
    least_count: int = 1
    evaluated: int | None = None

    modality: ClassVar[str] = "tokens"
    dtype: ClassVar[str] = "int32"
    host_dtype: ClassVar[str] = "int32"

    def __post_init__(self) -> None:
        for name in ("length", "least_count", "evaluated"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise UsageError(f"tokens: {name} must be at least 1, got {value}")

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one view."""
        return (self.length,)

    @property
    def array(self) -> str:
        """Name of the data set's array that views are made of (``data.prepared``)."""
        return f"{self.column}/tokens"

    def draw(self, captions: np.ndarray, seeds: np.ndarray) -> np.ndarray:
        """One caption of each example.

        Args:
          captions: (B, K, length) int32 word numbers; an example's captions come first, rows of 0
            stand for those that it does not have.
          seeds: (B, 2) uint32, from ``data.order.example_seeds``.

        Returns:
          (B, length) int32.
        """
        count = np.count_nonzero(captions[:, :, 0], axis=1).astype(np.uint64)
        chosen = (seeds[:, 0].astype(np.uint64) * count) >> np.uint64(32)
        return captions[np.arange(len(captions)), chosen.astype(np.int64)]

    def items(self, captions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Every caption that is evaluated.

        Args:
          captions: (N, K, length) int32, as of ``draw``.

        Returns:
          (M, length) int32 captions, and the (M,) examples that they belong to.
        """
        some = captions[:, : self.evaluated]
        example, place = np.nonzero(some[:, :, 0])
        return some[example, place], example

    def for_channels(self, channels: int) -> "Tokens":
        """Itself: a text has no channels."""
        return self
