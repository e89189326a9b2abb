"""Computes the cosine similarity of rows; a row of zeros has similarity and gradient 0."""

import jax.numpy as jnp
from jax import Array

from jax_bt import stats


def cosine(a: Array, b: Array) -> Array:
    """Cosine similarity of matching rows, (..., D) and (..., D) to (...); 0 for a row of zeros.

    The references divide by max(||x||, 1e-12), whose gradient at a row of zeros is 1e12, infinite
    in float16; a row without direction has no useful gradient, so here it is zero.
    """
    return jnp.sum(stats.l2_normalize(a) * stats.l2_normalize(b), axis=-1)
