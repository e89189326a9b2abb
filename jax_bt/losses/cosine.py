"""Cosine similarity of rows, with a finite gradient for a row of zeros."""

import jax.numpy as jnp
from jax import Array


def unit_rows(x: Array) -> Array:
    """Rows at unit length: x / ||x||; a row of zeros stays zero and passes no gradient.

    The references divide by max(||x||, 1e-12), whose gradient at zero is 1e12 (infinite in
    float16); a row without direction has no useful gradient, so this one is zero.

    Args:
      x: (..., D), float32 or float64.

    Returns:
      Array of x's shape and dtype.
    """
    square = jnp.sum(jnp.square(x), axis=-1, keepdims=True)
    # Below the smallest normal number the square has lost its digits (a norm of 1e-19 in float32).
    directed = square > jnp.finfo(x.dtype).tiny
    # The inner where keeps the untaken branch finite: 0 * inf would be NaN in the gradient.
    return jnp.where(directed, x / jnp.sqrt(jnp.where(directed, square, 1)), 0)


def cosine(a: Array, b: Array) -> Array:
    """Cosine similarity of matching rows: (..., D) and (..., D) to (...)."""
    return jnp.sum(unit_rows(a) * unit_rows(b), axis=-1)
