"""Views of a spectrogram as a sequence: which stretch, how loud, masked where, and refusals."""

import numpy as np
import pytest

from jax_bt import augment
from jax_bt.augment import Frames
from jax_bt.data import order
from jax_bt.errors import UsageError

T, BANDS = 20, 6
PLAIN = {"length": 8, "bands": BANDS, "gain": 0.0, "noise": 0.0, "time_mask": 0, "band_mask": 0}


def spectrograms(count=1):
    """Every frame has its number, from 100 on, in all bands."""
    frames = np.arange(100, 100 + T, dtype=np.uint8)
    return np.broadcast_to(frames[None, :, None], (count, T, BANDS))


def seeds(count):
    return order.example_seeds(np.arange(count), seed=0, epoch=0, views=1)[:, 0]


def test_a_stretch_of_consecutive_frames_from_any_place():
    made = Frames(**PLAIN).draw(spectrograms(500), seeds(500))
    assert made.shape == (500, 8, BANDS) and made.dtype == np.float32
    frames = np.round(made * 255).astype(int)
    assert (np.diff(frames, axis=1) == 1).all() and (np.ptp(frames, axis=2) == 0).all()
    # 13 places, each missed by 500 draws with a probability of 4e-18.
    assert set(frames[:, 0, 0]) == set(range(100, 100 + T - 8 + 1))


def test_the_same_seeds_give_the_same_view():
    view = Frames(length=8, bands=BANDS, time_mask=3, band_mask=2)
    first, again = (view.draw(spectrograms(4), seeds(4)) for _ in range(2))
    np.testing.assert_array_equal(first, again)
    alone = view.draw(spectrograms(1), seeds(4)[2:3])
    np.testing.assert_array_equal(alone[0], first[2])
    assert (first[0] != first[1]).any()


def test_the_scale_of_any_dtype():
    one = spectrograms()
    wide = one.astype(np.uint16) * 257  # 255 becomes 65,535
    for given in (wide, one.astype(np.float32) / 255):
        np.testing.assert_allclose(
            Frames(**PLAIN).draw(given, seeds(1)),
            Frames(**PLAIN).draw(one, seeds(1)),
            rtol=1e-6,  # a rounding of a quotient in float32
        )


def test_the_gain_is_in_decibels_of_eighty():
    """Evenly drawn: of 1,000 draws the least is below -5.9 but for 0.99^1000, or 4e-5."""
    shifts = Frames(**{**PLAIN, "gain": 6.0}).draw(spectrograms(1000), seeds(1000))
    shifts = 80 * (shifts - Frames(**PLAIN).draw(spectrograms(1000), seeds(1000)))
    assert np.ptp(shifts, axis=(1, 2)).max() < 1e-4  # the same over a view
    assert -6 <= shifts.min() < -5.9 and 5.9 < shifts.max() <= 6.00001


def test_noise_and_the_ends_of_the_scale():
    grey = np.full((300, T, BANDS), 0.5, np.float32)
    noisy = Frames(**{**PLAIN, "noise": 0.05}).draw(grey, seeds(300)) - 0.5
    # The deviation is even in [0, 0.05]; 48 values of a view know it to a tenth.
    deviations = noisy.std(axis=(1, 2))
    assert deviations.min() < 0.005 and 0.04 < deviations.max() < 0.07
    assert abs(deviations.mean() - 0.025) < 0.003  # 0.0144 / sqrt(300) is its own deviation
    for level in (0.0, 1.0):
        made = Frames(length=8, bands=BANDS, time_mask=3, band_mask=2).draw(
            np.full((50, T, BANDS), level, np.float32), seeds(50)
        )
        assert made.min() >= 0 and made.max() <= 1


def test_masks_are_bars_of_every_width():
    view = Frames(**{**PLAIN, "time_mask": 3, "band_mask": 2})
    masked = view.draw(spectrograms(500), seeds(500)) == 0
    times, bands = masked.all(axis=2), masked.all(axis=1)
    np.testing.assert_array_equal(masked, times[:, :, None] | bands[:, None, :])
    for bars, most in ((times, 3), (bands, 2)):
        assert set(bars.sum(axis=1)) == set(range(most + 1))
        # One bar: it begins once at most.
        edges = np.diff(np.pad(bars.astype(int), ((0, 0), (1, 0))), axis=1)
        assert (edges == 1).sum(axis=1).max() == 1


@pytest.mark.parametrize(
    ("description", "answer"),
    [
        ({"length": 0}, "frames: length must be at least 1, got 0"),
        ({"gain": 81.0}, "frames: gain must be 0 to 80, got 81"),
        ({"noise": -0.1}, "frames: noise must be 0 to 1, got -0.1"),
        ({"length": 8, "time_mask": 9}, "frames: time_mask must be 0 to 8, got 9"),
        ({"mask": 3}, "frames: there is no field 'mask'; there are: length, bands, gain"),
    ],
)
def test_wrong_descriptions_are_refused(description, answer):
    with pytest.raises(UsageError, match=answer):
        augment.view_from({"modality": "frames", "time_mask": 1, **description}, 8)


def test_spectrograms_that_do_not_fit_are_refused():
    with pytest.raises(UsageError, match="length=21 is more than the 20 frames"):
        Frames(**{**PLAIN, "length": 21}).draw(spectrograms(), seeds(1))
    with pytest.raises(UsageError, match="bands=7, but the spectrograms have 6"):
        Frames(**{**PLAIN, "bands": 7}).draw(spectrograms(), seeds(1))
