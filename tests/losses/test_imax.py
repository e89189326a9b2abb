"""The IMAX-like loss beside numpy's determinants: sign, both forms, extremes."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers.discovery import SIZES
from jax.sharding import PartitionSpec as P

from jax_bt import losses


def views(count, width, noise=0.5, seed=0):
    random = np.random.default_rng(seed)
    signal = random.normal(size=(count, width))
    return [np.float32(signal + noise * random.normal(size=(count, width))) for _ in range(2)]


imax = jax.jit(losses.imax)


def by_numpy(z_a, z_b, eps):
    z_a, z_b = np.float64(z_a), np.float64(z_b)
    terms = []
    for z in (z_a - z_b, z_a + z_b):
        terms.append(np.linalg.slogdet(np.cov(z.T) + eps * np.eye(z.shape[1]))[1])
    return terms[0] - terms[1], *terms


@pytest.mark.parametrize("count, width", [(32, 5), (8, 8), (6, 40)])
def test_equals_numpys_determinants(count, width):
    z_a, z_b = views(count, width)
    expected = by_numpy(z_a, z_b, 1e-3)
    with jax.enable_x64(True):
        out = imax(np.float64(z_a), np.float64(z_b))
        np.testing.assert_allclose(out, expected, rtol=1e-9)
    np.testing.assert_allclose(imax(z_a, z_b), expected, rtol=1e-3)


def test_few_examples_of_wide_embeddings_keep_their_digits():
    """The loss is -33, a difference of -3391 and -3358, which share 497 times log(eps)."""
    z_a, z_b = views(16, 512)
    step = jax.jit(jax.value_and_grad(lambda a, b: losses.imax(a, b).loss, (0, 1)))
    value, gradients = step(z_a, z_b)
    with jax.enable_x64(True):
        expected, exact = step(np.float64(z_a), np.float64(z_b))
    np.testing.assert_allclose(expected, by_numpy(z_a, z_b, 1e-3)[0], rtol=1e-9)
    np.testing.assert_allclose(value, expected, rtol=1e-6)
    for gradient, reference in zip(gradients, exact, strict=True):
        scale = np.max(np.abs(reference))
        np.testing.assert_allclose(gradient, reference, rtol=0, atol=1e-5 * scale)


def test_agreement_lowers_the_loss():
    by_noise = [imax(*views(64, 4, noise)).loss for noise in (0.0, 0.3, 1.0, 3.0)]
    assert np.all(np.diff(by_noise) > 0)


def test_identical_and_opposite_views():
    z = jnp.asarray(views(64, 4)[0])
    same, opposite = imax(z, z), imax(z, -z)
    np.testing.assert_allclose(same.difference, 4 * math.log(1e-3), rtol=1e-5)
    np.testing.assert_allclose(same.loss, -opposite.loss, rtol=1e-5)
    np.testing.assert_allclose(same.loss, same.difference - same.total, rtol=1e-6)


def test_one_dimension_is_minus_twice_the_information():
    z_a, z_b = views(100, 1)
    ratio = np.var(z_a + z_b, ddof=1) / np.var(z_a - z_b, ddof=1)
    np.testing.assert_allclose(losses.imax(z_a, z_b, eps=1e-9).loss, -np.log(ratio), rtol=1e-4)


def test_gram_form_on_devices_equals_one_device():
    """N <= D: the conformance test has N > D."""
    count, width = 8, SIZES["D"] * 2
    z = [np.float64(v) for v in views(count, width)]
    mesh = jax.make_mesh((4,), ("batch",), (jax.sharding.AxisType.Auto,), devices=jax.devices()[:4])

    def step(a, b, axis_name=None):
        return losses.imax(a, b, axis_name=axis_name).loss

    mapped = jax.shard_map(
        lambda a, b: step(a, b, "batch"), mesh=mesh, in_specs=P("batch"), out_specs=P()
    )
    with jax.enable_x64(True):
        value, gradients = jax.jit(jax.value_and_grad(mapped, (0, 1)))(*z)
        expected, expected_gradients = jax.jit(jax.value_and_grad(step, (0, 1)))(*z)
        np.testing.assert_allclose(value, expected, rtol=1e-10)
        for g, e in zip(gradients, expected_gradients, strict=True):
            np.testing.assert_allclose(g, e, rtol=1e-8, atol=1e-12)


def test_wide_collapsed_embeddings_stay_finite():
    z = jnp.broadcast_to(jnp.linspace(-1, 1, 8)[:, None], (8, 512))
    value, gradient = jax.jit(jax.value_and_grad(lambda a: losses.imax(a, z).loss))(z)
    assert np.isfinite(value) and np.all(np.isfinite(gradient))


def test_refuses_no_ridge_and_a_batch_of_one():
    z = jnp.ones((4, 2))
    with pytest.raises(ValueError, match="eps=0"):
        losses.imax(z, z, eps=0)
    with pytest.raises(ValueError, match="N=1"):
        losses.imax(z[:1], z[:1])
