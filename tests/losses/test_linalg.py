"""A Cholesky factor that leaves regular matrices alone and survives singular ones."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jax_bt.losses._linalg import factor

factor = jax.jit(factor)
cholesky = jax.jit(jnp.linalg.cholesky)
step = jax.jit(jax.value_and_grad(lambda matrix: jnp.sum(factor(matrix))))


def covariance(width=5, seed=0):
    z = np.random.default_rng(seed).normal(size=(4 * width, width))
    return np.cov(z.T).astype("float32")


def test_regular_matrices_are_factored_as_they_are():
    both = np.stack([covariance(), 1e-12 * covariance(seed=1)])
    np.testing.assert_array_equal(factor(both), cholesky(both))


def test_only_the_singular_matrix_of_a_stack_is_changed():
    singular = np.ones((5, 5), np.float32)
    both = factor(np.stack([covariance(), singular]))
    np.testing.assert_array_equal(both[0], cholesky(np.stack([covariance()] * 2))[0])
    np.testing.assert_allclose(both[1] @ both[1].T, singular, atol=1e-3)


@pytest.mark.parametrize("scale", [1e-20, 1.0, 1e10])
@pytest.mark.parametrize("rank", [0, 1, 4])
def test_value_and_gradient_are_finite_for_any_rank(rank, scale):
    z = np.random.default_rng(0).normal(size=(rank, 6)).astype("float32")
    matrix = jnp.asarray(scale * z.T @ z)
    value, gradient = step(matrix)
    assert np.isfinite(value) and np.all(np.isfinite(gradient))
