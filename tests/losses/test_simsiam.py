"""SimSiam's loss beside the official code's numbers."""

import numpy as np
import pytest
from helpers.golden import check

from jax_bt import losses


@pytest.mark.parametrize("shape", ["8x16", "64x128"])
def test_equals_the_reference(golden, shape):
    inputs = golden(f"byol_loss_{shape}")  # the two files were made of the same arrays
    g = golden(f"simsiam_loss_{shape}")
    check(
        losses.simsiam,
        tuple(inputs[name] for name in ("p1", "p2", "z1", "z2")),
        g["loss"],
        (g["grad_p1"], g["grad_p2"], None, None),
        # The value is a mean of cosines of either sign, a hundredth of them in size.
        float32=(1e-4, 1e-6),
    )


def test_lies_between_minus_one_and_one():
    a, b = np.eye(4, dtype=np.float32)[:2, None]
    crossed = losses.simsiam(p_a=a, p_b=b, z_a=b, z_b=a).loss
    straight = losses.simsiam(p_a=a, p_b=b, z_a=a, z_b=b).loss
    opposite = losses.simsiam(p_a=a, p_b=b, z_a=-b, z_b=-a).loss
    np.testing.assert_allclose([crossed, straight, opposite], [-1, 0, 1], atol=1e-6)


def test_is_byol_shifted_and_scaled(golden):
    g = golden("byol_loss_8x16")
    arrays = [g[name] for name in ("p1", "p2", "z1", "z2")]
    byol, simsiam = losses.byol(*arrays).loss, losses.simsiam(*arrays).loss
    np.testing.assert_allclose(byol, 4 + 4 * simsiam, rtol=1e-6)
