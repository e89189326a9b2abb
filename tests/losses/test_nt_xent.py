"""NT-Xent beside lightly's numbers, at its extremes, and with what it must refuse."""

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers.golden import check

from jax_bt import losses


@pytest.mark.parametrize("temperature", [0.5, 0.1])
@pytest.mark.parametrize("shape", ["2x4", "8x16", "64x128"])
def test_equals_the_reference(golden, shape, temperature):
    g = golden(f"simclr_ntxent_{shape}")
    suffix = f"_t{temperature:.1f}".replace(".", "")
    check(
        functools.partial(losses.nt_xent, temperature=temperature),
        (g["z0"], g["z1"]),
        g[f"loss{suffix}"],
        (g[f"grad0{suffix}"], g[f"grad1{suffix}"]),
        float32=(1e-6, 5e-6),
    )


def test_one_point_gives_the_logarithm_of_the_number_of_others():
    z = jnp.ones((5, 3))
    np.testing.assert_allclose(losses.nt_xent(z, z).loss, math.log(9), rtol=1e-6)


def test_identical_views_of_orthogonal_examples():
    z = jnp.eye(4)
    expected = math.log(1 + 6 * math.exp(-1 / 0.5))
    np.testing.assert_allclose(losses.nt_xent(z, z).loss, expected, rtol=1e-6)


@pytest.mark.parametrize("dtype", [jnp.float16, jnp.float32])
def test_a_tiny_temperature_neither_overflows_nor_counts_the_row_itself(dtype):
    """exp(1 / 1e-4) is far beyond float32, and -1e9 / 1e-4 beyond the reference's float16 mask."""
    z = jnp.asarray(np.random.default_rng(0).normal(size=(6, 4)), dtype)

    def loss(a, b):
        return losses.nt_xent(a, b, temperature=1e-4).loss

    value, gradient = jax.jit(jax.value_and_grad(loss, (0, 1)))(z, z)
    np.testing.assert_allclose(value, 0, atol=1e-6)
    assert all(np.all(np.isfinite(g)) for g in gradient)


def test_temperature_may_be_learned(golden):
    g = golden("simclr_ntxent_8x16")

    @jax.jit
    def loss(t):
        return losses.nt_xent(g["z0"], g["z1"], temperature=t).loss

    np.testing.assert_allclose(jax.grad(loss)(0.5), (loss(0.51) - loss(0.49)) / 0.02, rtol=1e-2)


def test_refuses_a_batch_of_one_and_a_temperature_of_zero():
    z = jnp.ones((1, 4))
    with pytest.raises(ValueError, match="N=1"):
        losses.nt_xent(z, z)
    with pytest.raises(ValueError, match="temperature=0"):
        losses.nt_xent(jnp.ones((2, 4)), jnp.ones((2, 4)), temperature=0)
