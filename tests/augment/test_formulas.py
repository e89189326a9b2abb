"""Formulas of both array libraries, against NumPy and elementary geometry."""

import jax.numpy as jnp
import numpy as np
import pytest
import tensorflow as tf

from jax_bt.augment import formulas

BOTH = pytest.mark.parametrize("xp", [tf, jnp], ids=["tensorflow", "jax"])


@BOTH
@pytest.mark.parametrize("sigma", [0.0, 0.1, 0.7, 1.5, 4.5])
def test_three_boxes_have_the_variance_asked_for(xp, sigma):
    """A box of radius l + a has weight 1 up to l and a at l + 1; its variance is a third of all."""
    radius = float(formulas.box_radius(np.float32(sigma), xp))
    whole = np.floor(radius)
    at = np.arange(-whole - 1, whole + 2)
    weights = np.where(np.abs(at) <= whole, 1, radius - whole)
    assert 3 * (weights * at**2).sum() / weights.sum() == pytest.approx(sigma**2, abs=1e-5)


@BOTH
def test_box_weights_repeat_the_edges(xp):
    """Row i of the matrix averages the pixels that it would in an image with repeated edges."""
    length, radius = 7, 2.25
    at = np.arange(length, dtype=np.float32)
    box = formulas.box_weights(np.float32(radius), at[:, None], at[None], length - 1.0, xp)
    signal = np.random.default_rng(0).random(length)
    padded = np.pad(signal, 3, mode="edge")
    kernel = np.array([0.25, 1, 1, 1, 1, 1, 0.25]) / (2 * radius + 1)
    np.testing.assert_allclose(
        np.asarray(box) @ signal, np.convolve(padded, kernel, "valid"), rtol=1e-6
    )


@BOTH
def test_the_affine_reads_where_the_opposite_movement_leads(xp):
    angle, zoom, shift_y, shift_x = (np.float32(v) for v in (0.3, 1.2, 0.1, -0.2))
    rows = formulas.affine_rows((9.0, 13.0), angle, zoom, shift_y, shift_x, xp)
    (a, b, c), (d, e, f) = (tuple(float(v) for v in row) for row in rows)
    y, x = 2.0, 11.0  # read here for the pixel at (to_y, to_x)
    # Counter-clockwise as seen: with y down, (x, y) turns to (x cos + y sin, y cos - x sin).
    along, down = x - 6, y - 4
    to_x = 6 + 1.2 * (along * np.cos(0.3) + down * np.sin(0.3)) - 0.2 * 13
    to_y = 4 + 1.2 * (down * np.cos(0.3) - along * np.sin(0.3)) + 0.1 * 9
    np.testing.assert_allclose(
        (a * to_x + b * to_y + c, d * to_x + e * to_y + f), (x, y), rtol=1e-5
    )
