"""Makes a view of an example's sound: a stretch of the waveform, louder or softer."""

import dataclasses
from typing import ClassVar

import numpy as np

from jax_bt.errors import UsageError


@dataclasses.dataclass(frozen=True)
class Waveform:
    """How a view of a sound is made: a random stretch of it at a random gain.

    Args:
      length: samples of a view.
      column: name of the data set's waveforms.
      gain: decibels; the view is scaled by -gain to gain, evenly drawn.

    Raises:
      UsageError: a number outside its range.
    """

    length: int = 65_536
    column: str = "waveform"
    gain: float = 6.0

    modality: ClassVar[str] = "waveform"
    dtype: ClassVar[str] = "float32"
    host_dtype: ClassVar[str] = "float32"

    def __post_init__(self) -> None:
        if self.length < 1:
            raise UsageError(f"waveform: length must be at least 1, got {self.length}")
        if not 0 <= self.gain <= 100:
            raise UsageError(f"waveform: gain must be 0 to 100 decibels, got {self.gain}")

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one view: samples, and one channel."""
        return (self.length, 1)

    @property
    def array(self) -> str:
        """Name of the data set's array that views are made of."""
        return self.column

    def draw(self, sounds: np.ndarray, seeds: np.ndarray) -> np.ndarray:
        """One stretch of each sound.

        Args:
          sounds: (B, T) int16 samples, full scale 32768; T of at least ``length``.
          seeds: (B, 2) uint32, from ``data.order.example_seeds``.

        Returns:
          (B, length, 1) float32, full scale 1.

        Raises:
          UsageError: the sounds are shorter than a view.
        """
        places = sounds.shape[1] - self.length + 1
        if places < 1:
            raise UsageError(
                f"waveform: length={self.length} is longer than the sounds of {sounds.shape[1]}"
            )
        uniform = seeds.astype(np.float64) / 2**32
        starts = np.minimum((uniform[:, 0] * places).astype(np.int64), places - 1)
        gain = 10 ** (self.gain * (2 * uniform[:, 1] - 1) / 20)
        found = np.empty((len(sounds), *self.shape), np.float32)
        for i, start in enumerate(starts):
            found[i, :, 0] = sounds[i, start : start + self.length] * (gain[i] / 32768)
        return found

    def for_channels(self, channels: int) -> "Waveform":
        """Itself: the channels are those of images."""
        return self
