"""Properties of the losses of directions: BYOL, SimSiam, NT-Xent, InfoNCE."""

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jax_bt import losses

N, D, K = 6, 4, 5
COUNTS = {"byol": 4, "simsiam": 4, "nt_xent": 2, "info_nce": 3, "info_nce_in_batch": 2}
BOUNDS = {
    "byol": (0, 8),
    "simsiam": (-1, 1),
    "nt_xent": (0, math.log(2 * N - 1) + 2 / 0.5),
    "info_nce": (0, math.log(1 + K) + 2 / 0.07),
    "info_nce_in_batch": (0, 2 * math.log(N) + 4),
}

each_loss = pytest.mark.parametrize("name", COUNTS)
seeds = st.integers(0, 2**32 - 1)
exponents = st.integers(-4, 4)
examples = settings(max_examples=25, deadline=None, derandomize=True)


def arguments(name, seed):
    random = np.random.default_rng(seed)
    arrays = list(random.normal(size=(COUNTS[name], N, D)))
    if name == "info_nce":
        queue = random.normal(size=(D, K))
        arrays[2] = queue / np.linalg.norm(queue, axis=0)
    return arrays


@functools.cache
def step(name):
    function = getattr(losses, name)
    count = COUNTS[name]
    return jax.jit(jax.value_and_grad(lambda *args: function(*args).loss, tuple(range(count))))


def value(name, arrays):
    with jax.enable_x64(True):
        return float(step(name)(*arrays)[0])


@each_loss
@examples
@given(seed=seeds, exponent=exponents)
def test_length_of_a_row_does_not_matter(name, seed, exponent):
    arrays = arguments(name, seed)
    expected = value(name, arrays)
    lengths = 10.0**exponent * np.random.default_rng(seed).uniform(0.5, 2, (N, 1))
    scaled = [x * lengths if x.shape == (N, D) else x for x in arrays]
    np.testing.assert_allclose(value(name, scaled), expected, rtol=1e-9, atol=1e-12)


@each_loss
@examples
@given(seed=seeds)
def test_a_common_rotation_does_not_matter(name, seed):
    arrays = arguments(name, seed)
    rotation, _ = np.linalg.qr(np.random.default_rng(seed).normal(size=(D, D)))
    turned = [x @ rotation if x.shape == (N, D) else rotation.T @ x for x in arrays]
    np.testing.assert_allclose(value(name, turned), value(name, arrays), rtol=1e-9, atol=1e-12)


@each_loss
@examples
@given(seed=seeds)
def test_value_is_in_its_bounds_and_gradient_across_the_rows(name, seed):
    arrays = arguments(name, seed)
    low, high = BOUNDS[name]
    with jax.enable_x64(True):
        loss, gradients = jax.tree.map(np.asarray, step(name)(*arrays))
    assert low <= loss <= high
    for x, g in zip(arrays, gradients, strict=True):
        if x.shape == (N, D):  # moving along a row changes its length only
            np.testing.assert_allclose(np.sum(x * g, axis=1), 0, atol=1e-12)


@examples
@given(seed=seeds)
def test_views_may_be_exchanged(seed):
    a, b, c, d = arguments("byol", seed)
    for name in ("byol", "simsiam"):
        exchanged = value(name, [b, a, d, c])
        np.testing.assert_allclose(exchanged, value(name, [a, b, c, d]), rtol=1e-12)
    np.testing.assert_allclose(value("nt_xent", [a, b]), value("nt_xent", [b, a]), rtol=1e-12)


@examples
@given(seed=seeds, column=st.integers(0, K - 1))
def test_a_harder_negative_raises_the_loss(seed, column):
    q, k, queue = arguments("info_nce", seed)
    one = [q[:1].repeat(N, 0), k[:1].repeat(N, 0)]
    harder = queue.copy()
    harder[:, column] = q[0] / np.linalg.norm(q[0])
    assert value("info_nce", [*one, harder]) > value("info_nce", [*one, queue])


@examples
@given(seed=seeds, exponent=st.integers(-30, 30))
def test_float32_gradients_are_finite_at_any_scale(seed, exponent):
    arrays = [np.float32(x * 2.0**exponent) for x in arguments("nt_xent", seed)]
    loss, gradients = step("nt_xent")(*arrays)
    np.testing.assert_allclose(loss, value("nt_xent", arrays), rtol=1e-5)
    assert all(jnp.all(jnp.isfinite(g)) for g in gradients)
