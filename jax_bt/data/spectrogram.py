"""Computes log-mel spectrograms of sounds, as images in [0, 1]."""

import numpy as np

BANDS, WINDOW, HOP = 64, 1024, 512
FLOOR = -80.0  # decibels below full scale that are black


def log_mel(
    sounds: np.ndarray, rate: int, *, bands: int = BANDS, window: int = WINDOW, hop: int = HOP
) -> np.ndarray:
    """Log-mel spectrograms: power in triangular bands on HTK's mel scale, in decibels.

        mel(f) = 1127 log(1 + f / 700),   image = clip((10 log10(power) + 80) / 80, 0, 1)

    with Hann windows, no padding, and a sine of full scale in the middle of a band near 0 decibels.

    Args:
      sounds: (N, T) int16 samples, full scale 32768.
      rate: samples per second.
      bands: between 0 and half of the rate.
      window: samples of a frame.
      hop: samples between frames.

    Returns:
      (N, bands, frames) float32 in [0, 1]; frames = 1 + (T - window) // hop, the lowest band first.
    """
    shape = np.hanning(window + 1)[:-1]  # periodic
    frames = np.lib.stride_tricks.sliding_window_view(sounds, window, axis=1)[:, ::hop]
    filters = mel_filters(window // 2 + 1, rate, bands)
    made = np.empty((len(sounds), bands, frames.shape[1]), np.float32)
    for i, one in enumerate(frames):
        amplitude = np.abs(np.fft.rfft(one * (shape / 32768), axis=1)) * (2 / shape.sum())
        decibels = 10 * np.log10(np.square(amplitude) @ filters + 1e-12)
        made[i] = np.clip((decibels.T - FLOOR) / -FLOOR, 0, 1)
    return made


def mel_filters(bins: int, rate: int, bands: int) -> np.ndarray:
    """(bins, bands) triangles whose corners are evenly spaced on the mel scale, of height 1."""

    def mel(frequency: np.ndarray) -> np.ndarray:
        return 1127 * np.log1p(np.asarray(frequency) / 700)

    corners = np.linspace(0, mel(rate / 2), bands + 2)
    place = mel(np.linspace(0, rate / 2, bins))[:, None]
    low, middle, high = corners[:-2], corners[1:-1], corners[2:]
    rising, falling = (place - low) / (middle - low), (high - place) / (high - middle)
    return np.maximum(0, np.minimum(rising, falling))
