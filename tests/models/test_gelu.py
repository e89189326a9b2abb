"""The GELU and its derivatives against scipy's normal distribution."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import PartitionSpec as P
from scipy.stats import norm

from jax_bt.devices.mesh import AXIS, make_mesh
from jax_bt.models._gelu import gelu

X = np.linspace(-6, 6, 48)
VALUES = X * norm.cdf(X)
SLOPES = norm.cdf(X) + X * norm.pdf(X)


def test_value_and_derivatives():
    with jax.enable_x64(True):
        slope = jax.grad(gelu)
        found = [np.asarray(jax.vmap(f)(X)) for f in (gelu, slope, jax.grad(slope))]
    for ours, expected in zip(found, (VALUES, SLOPES, (2 - X**2) * norm.pdf(X)), strict=True):
        np.testing.assert_allclose(ours, expected, rtol=0, atol=1e-14)


@pytest.mark.parametrize("dtype", ["bfloat16", "float32"])
def test_values_are_flaxs(dtype):
    x = jnp.asarray(X, dtype)
    assert gelu(x).dtype == x.dtype
    np.testing.assert_array_equal(gelu(x), nn.gelu(x, approximate=False))


@pytest.mark.parametrize("dtype", ["bfloat16", "float32"])
def test_gradient_on_eight_devices(dtype):
    mapped = jax.shard_map(
        lambda x: jax.lax.psum(jnp.sum(gelu(x)), AXIS),
        mesh=make_mesh(),
        in_specs=P(AXIS),
        out_specs=P(),
    )
    found = jax.jit(jax.grad(mapped))(jnp.asarray(X, dtype))
    # Of x, where the slope changes by 0.8 per unit, and of three terms up to 1.13.
    np.testing.assert_allclose(
        np.float64(found), SLOPES, rtol=0, atol=8 * float(jnp.finfo(dtype).eps)
    )
