"""Computes Cholesky factors whose gradient stays finite for a singular matrix."""

import jax.numpy as jnp
from jax import Array, lax


def factor(matrix: Array) -> Array:
    """Lower Cholesky factor; of ``matrix + ridge I`` where the matrix is singular to rounding.

    A constant or repeated column of a batch makes its covariance singular: the factor has a zero
    pivot, or a NaN, and so has every gradient through it. The first attempt, outside of
    differentiation, only looks for lost pivots: it costs D^3/3 operations beside the 2 N D^2 of the
    covariance. A regular matrix is factored as it is.

    Args:
      matrix: (..., D, D), symmetric positive semi-definite, float32 or float64.

    Returns:
      (..., D, D) lower triangular.
    """
    matrix_held = lax.stop_gradient(matrix)
    width = matrix.shape[-1]
    rounding = jnp.finfo(matrix.dtype).eps
    diagonal = jnp.diagonal(matrix_held, axis1=-2, axis2=-1)
    pivots = jnp.square(jnp.diagonal(jnp.linalg.cholesky(matrix_held), axis1=-2, axis2=-1))
    # pivot / diagonal is the part of a column's variance that the columns before it do not explain.
    # False for NaN and for 0 > 0.
    regular = jnp.all(pivots > 8 * rounding * diagonal, axis=-1)[..., None]
    trace = jnp.sum(diagonal, axis=-1, keepdims=True)
    # Factoring in floating point succeeds when the least eigenvalue exceeds about D eps ||matrix||.
    ridge = jnp.where(trace > 0, 10 * width * rounding * trace, 1)
    ridge = jnp.where(regular, 0, ridge)[..., None]
    return jnp.linalg.cholesky(matrix + ridge * jnp.eye(width, dtype=matrix.dtype))


def log_det(matrix: Array) -> Array:
    """log|matrix| of symmetric positive semi-definite matrices, (..., D, D) to (...)."""
    diagonal = jnp.diagonal(factor(matrix), axis1=-2, axis2=-1)
    return 2 * jnp.sum(jnp.log(diagonal), axis=-1)
