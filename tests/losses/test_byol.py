"""BYOL's loss beside solo-learn's numbers, and what a reader of its docstring expects."""

import jax.numpy as jnp
import numpy as np
import pytest
from helpers.golden import check

from jax_bt import losses

NAMES = ("p1", "p2", "z1", "z2")


@pytest.mark.parametrize("shape", ["8x16", "64x128"])
def test_equals_the_reference(golden, shape):
    g = golden(f"byol_loss_{shape}")
    check(
        losses.byol,
        tuple(g[name] for name in NAMES),
        g["loss"],
        (g["grad_p1"], g["grad_p2"], None, None),
        float32=(1e-6, 1e-6),
    )


def test_each_prediction_meets_the_other_views_target():
    a, b = np.eye(4, dtype=np.float32)[:2, None]
    crossed = losses.byol(p_a=a, p_b=b, t_a=b, t_b=a).loss
    straight = losses.byol(p_a=a, p_b=b, t_a=a, t_b=b).loss
    opposite = losses.byol(p_a=a, p_b=b, t_a=-b, t_b=-a).loss
    np.testing.assert_allclose([crossed, straight, opposite], [0, 4, 8], atol=1e-6)


def test_value_and_terms_are_scalars_named_as_documented():
    x = jnp.ones((3, 2))
    out = losses.byol(x, x, x, x)
    assert out._fields == ("loss",) and out.loss.shape == ()


def test_shapes_must_agree():
    x = jnp.ones((3, 2))
    with pytest.raises(ValueError, match=r"t_b has shape \(3, 1\) but p_a has \(3, 2\)"):
        losses.byol(x, x, x, x[:, :1])
