"""Computes the cosine similarity of rows; a row of zeros has similarity and gradient 0."""

import jax
import jax.numpy as jnp
from jax import Array, lax

from jax_bt import stats


def cosine(a: Array, b: Array) -> Array:
    """Cosine similarity of matching rows, (..., D) and (..., D) to (...); 0 for a row of zeros.

    The references divide by max(||x||, 1e-12), whose gradient at a row of zeros is 1e12, infinite
    in float16; a row without direction has no useful gradient, so here it is zero.
    """
    return jnp.sum(stats.l2_normalize(a) * stats.l2_normalize(b), axis=-1)


def log_share_of_own_key(
    q: Array,
    k: Array,
    temperature: float | Array,
    axis_name: str | None,
    precision: lax.PrecisionLike,
) -> Array:
    """log( exp(q_n.k_n / T) / sum_m exp(q_n.k_m / T) ) of unit rows: (n, 1), m over all rows.

    All rows are those of the global batch: keys are gathered over the axis, and their gradient goes
    back over it.
    """
    keys = stats.all_gather(stats.l2_normalize(k), axis_name=axis_name)
    logits = jnp.matmul(stats.l2_normalize(q), keys.T, precision=precision) / temperature
    own = stats.shard_index(axis_name) * q.shape[0] + jnp.arange(q.shape[0])
    return jnp.take_along_axis(jax.nn.log_softmax(logits, axis=1), own[:, None], axis=1)
