"""Makes a view of an example's spectrogram as a sequence: a stretch of frames, louder or softer."""

import dataclasses
from typing import ClassVar

import numpy as np

from jax_bt.errors import UsageError

RANGE = 80.0  # decibels from black to white, as of data.spectrogram.log_mel


@dataclasses.dataclass(frozen=True)
class Frames:
    """How a sequence of frames is made of a spectrogram: the bands are its channels.

    In the image's scale, with [0, 1] for 80 decibels:

        x = clip(stretch + U[-gain, gain] / 80 + U[0, noise] * N(0, 1), 0, 1)

    and 0 in up to ``time_mask`` consecutive frames and ``band_mask`` consecutive bands (Park et al.
    2019, SpecAugment, whose masks are these with other values).

    Args:
      length: frames of a view.
      bands: of the spectrograms, which are their height as images.
      gain: decibels.
      noise: largest standard deviation.
      time_mask, band_mask: most frames and bands that are masked, evenly drawn from 0.

    Raises:
      UsageError: a number outside its range.
    """

    length: int = 128
    bands: int = 64
    gain: float = 6.0
    noise: float = 0.05
    time_mask: int = 16
    band_mask: int = 8

    modality: ClassVar[str] = "frames"
    dtype: ClassVar[str] = "float32"
    host_dtype: ClassVar[str] = "float32"
    array: ClassVar[str] = "image/frames"  # of the data set, made by ``data.prepared``

    def __post_init__(self) -> None:
        for name in ("length", "bands"):
            if getattr(self, name) < 1:
                raise UsageError(f"frames: {name} must be at least 1, got {getattr(self, name)}")
        for name, most in (("gain", RANGE), ("noise", 1.0)):
            if not 0 <= getattr(self, name) <= most:
                raise UsageError(f"frames: {name} must be 0 to {most:g}, got {getattr(self, name)}")
        for name, most in (("time_mask", self.length), ("band_mask", self.bands)):
            if not 0 <= getattr(self, name) <= most:
                raise UsageError(f"frames: {name} must be 0 to {most}, got {getattr(self, name)}")

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one view: frames and bands."""
        return (self.length, self.bands)

    def draw(self, spectrograms: np.ndarray, seeds: np.ndarray) -> np.ndarray:
        """One stretch of each spectrogram.

        Args:
          spectrograms: (B, T, bands) uint8, uint16 or floats in [0, 1]; T of at least ``length``.
          seeds: (B, 2) uint32, from ``data.order.example_seeds``.

        Returns:
          (B, length, bands) float32 in [0, 1].

        Raises:
          UsageError: fewer frames than a view has, or another number of bands.
        """
        self._check(spectrograms)
        places = spectrograms.shape[1] - self.length + 1
        if places < 1:
            raise UsageError(
                f"frames: length={self.length} is more than the {spectrograms.shape[1]} frames of "
                "the spectrograms"
            )
        made = np.empty((len(spectrograms), *self.shape), np.float32)
        for i, words in enumerate(seeds):
            random = np.random.Generator(np.random.Philox(key=words.astype(np.uint64)))
            start = random.integers(places)
            gain, deviation = random.uniform(-1, 1) * self.gain / RANGE, random.uniform(0, 1)
            time, first = _mask(random, self.time_mask, self.length)
            band, lowest = _mask(random, self.band_mask, self.bands)
            noise = random.standard_normal(self.shape, np.float32) * (deviation * self.noise)
            part = _unit(spectrograms[i, start : start + self.length])
            made[i] = np.clip(part + gain + noise, 0, 1)
            made[i, first : first + time] = 0
            made[i, :, lowest : lowest + band] = 0
        return made

    def for_channels(self, channels: int) -> "Frames":
        """Itself: the channels are those of images."""
        return self

    def _check(self, spectrograms: np.ndarray) -> None:
        if spectrograms.shape[2] != self.bands:
            raise UsageError(
                f"frames: bands={self.bands}, but the spectrograms have {spectrograms.shape[2]}"
            )


def _mask(random: np.random.Generator, most: int, size: int) -> tuple[int, int]:
    """Width of a mask and its place."""
    width = int(random.integers(most + 1))
    return width, int(random.integers(size - width + 1))


def _unit(x: np.ndarray) -> np.ndarray:
    """float32 in [0, 1] of integers or floats."""
    scale = np.iinfo(x.dtype).max if x.dtype.kind == "u" else 1
    return x.astype(np.float32) / np.float32(scale)
