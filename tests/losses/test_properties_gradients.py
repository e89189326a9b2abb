"""Gradients in float64 equal central differences along random directions."""

import functools

import jax
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jax_bt import losses

# What carries a gradient: (shape of the others, shapes of these). The rest is held still by
# definition, so a difference quotient would see more than the gradient does.
N, D, K = 8, 3, 4
FREE = {
    "byol": lambda p, t: losses.byol(*p, *t),
    "simsiam": lambda p, z: losses.simsiam(*p, *z),
    "nt_xent": lambda z, _: losses.nt_xent(*z),
    "info_nce": lambda z, still: losses.info_nce(z[0], still[0], still[1][:D].T, temperature=0.5),
    "info_nce_in_batch": lambda z, still: losses.info_nce_in_batch(z[0], still[0]),
    "swav": lambda z, still: losses.swav(
        jax.numpy.concatenate([still, z[:1]]), assigned=(0, 1), temperature=0.5
    ),
    "w_mse": lambda z, _: losses.w_mse(*z, whitening_size=N),
    "w_mse_plain": lambda z, _: losses.w_mse(*z, whitening_size=4, eps=0.1, normalize=False),
    "imax": lambda z, _: losses.imax(*z),
    "imax_gram": lambda z, _: losses.imax(*(v.reshape(2, -1) for v in z)),
}


@functools.cache
def step(name):
    return jax.jit(jax.value_and_grad(lambda z, still: FREE[name](z, still).loss))


@pytest.mark.parametrize("name", FREE)
@settings(max_examples=10, deadline=None, derandomize=True)
@given(seed=st.integers(0, 2**32 - 1))
def test_gradient_equals_central_difference(name, seed):
    random = np.random.default_rng(seed)
    z, still, direction = random.normal(size=(3, 2, N, D))
    width = 1e-5
    with jax.enable_x64(True):
        _, gradient = step(name)(z, still)
        above, below = (step(name)(z + s * direction, still)[0] for s in (width, -width))
        difference = (float(above) - float(below)) / (2 * width)
        slope = np.sum(np.asarray(gradient) * direction)
    scale = np.linalg.norm(gradient) * np.linalg.norm(direction)
    np.testing.assert_allclose(slope, difference, rtol=1e-5, atol=1e-7 * scale)
    assert scale > 0
