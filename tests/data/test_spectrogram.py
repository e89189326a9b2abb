"""Log-mel spectrograms beside TensorFlow's transforms, and of sines whose band is known."""

import numpy as np
import tensorflow as tf

from jax_bt.data import spectrogram

RATE = 16_000


def sine(frequency, amplitude=32767, seconds=0.25):
    time = np.arange(int(RATE * seconds)) / RATE
    return np.round(amplitude * np.sin(2 * np.pi * frequency * time)).astype(np.int16)


def test_equals_tensorflow():
    """Its stft has the same periodic window and its matrix HTK's scale, from float32.

    Its matrix has nothing at 0 Hz, where ours has 0 too. Decibels from float32 amplitudes of 1e-6
    relative are good to 1e-5, far from the floor; near it sums of tiny numbers differ.
    """
    noise = np.random.default_rng(0).normal(scale=3000, size=(2, 5000)).astype(np.int16)
    ours = spectrogram.log_mel(noise, RATE, bands=20, window=256, hop=100)
    frames = tf.signal.stft(noise / np.float32(32768), 256, 100)
    matrix = tf.signal.linear_to_mel_weight_matrix(20, 129, RATE, 0.0, RATE / 2)
    power = tf.square(tf.abs(frames) * (2 / 128)) @ matrix  # the window's sum is 128
    decibels = 10 * np.log10(np.maximum(power.numpy(), 1e-12))
    expected = np.clip((decibels + 80) / 80, 0, 1).transpose(0, 2, 1)
    assert ours.shape == (2, 20, 48) and ours.dtype == np.float32
    np.testing.assert_allclose(ours, expected, atol=1e-4)


def test_a_sine_lights_its_band_at_its_level():
    """A band's middle, on a bin of the transform: at -10 decibels, and a tenth of it at -30."""
    corners = 700 * np.expm1(np.linspace(0, np.log1p(RATE / 2 / 700), 22))
    band = 12
    frequency = round(corners[band + 1] / (RATE / 1024)) * RATE / 1024
    loud, soft = spectrogram.log_mel(
        np.stack([sine(frequency, 10362), sine(frequency, 1036)]), RATE, bands=20
    )
    assert (loud.argmax(axis=0) == band).all()
    # The Hann window spreads half of the amplitude to each neighbour: up to 1.5 in power, 1.8 dB;
    # the bin is within half a bin of the middle, 0.2 dB below the peak of the triangle.
    np.testing.assert_allclose(loud[band] * 80 - 80, 0.8 - 10, atol=1.2)
    np.testing.assert_allclose((loud[band] - soft[band]) * 80, 20, atol=0.05)


def test_silence_is_black():
    assert (spectrogram.log_mel(np.zeros((1, 4000), np.int16), RATE) == 0).all()
