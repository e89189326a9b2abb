"""Compares rows with many prototypes a part of them at a time, and predicts assigned clusters."""

import jax
import jax.numpy as jnp
from jax import Array, lax

from jax_bt import stats
from jax_bt.losses._checks import floating, positive

# Prototypes at a time: a million rows and all of 3000 prototypes have 12 GB of dot products.
PART = 256


def predict_assigned(
    scores: Array, assignments: Array, temperature: float | Array, axis_name: str | None
) -> Array:
    """The cross-entropy of all crops' predictions with the clusters of their examples.

    Args:
      scores: (C, N, K).
      assignments: (N,) whole numbers, negative for examples without a cluster, which do not count.
      temperature: of the predictions.
      axis_name: mapped axis over which N is sharded, or None.

    Returns:
      A scalar, the mean over the crops of all examples that have a cluster; 0 where none has one.
    """
    positive(temperature=temperature)
    scores, assignments = floating("scores", scores, "C N K"), jnp.asarray(assignments)
    if not jnp.issubdtype(assignments.dtype, jnp.integer):
        raise ValueError(f"assignments are {assignments.dtype}: give whole numbers")
    if assignments.shape != scores.shape[1:2]:
        raise ValueError(
            f"assignments have shape {assignments.shape}: expected ({scores.shape[1]},), one "
            "cluster per example"
        )
    has = assignments >= 0
    log_p = jax.nn.log_softmax(scores / temperature, axis=-1)
    chosen = jnp.where(has, assignments, 0)[None, :, None]
    chosen = jnp.take_along_axis(log_p, chosen, axis=-1)[..., 0]
    total = stats.all_sum(jnp.sum(jnp.where(has, -chosen, 0)), axis_name)
    count = stats.all_sum(jnp.sum(has), axis_name) * len(scores)
    return total / jnp.maximum(count, 1)


def best(rows: Array, prototypes: Array, offsets: Array | None = None) -> Array:
    """argmax_k rows . prototypes_k + offsets_k, the first of equals.

    Args:
      rows: (N, D).
      prototypes: (K, D).
      offsets: (K,), or None for zeros.

    Returns:
      (N,) int32.
    """
    offsets = jnp.zeros(len(prototypes), rows.dtype) if offsets is None else offsets

    def compare(found: tuple[Array, Array], part: tuple[Array, ...]) -> tuple[tuple, None]:
        value, place = found
        number, prototypes, offsets = part
        scores = scores_of(rows, prototypes) + offsets
        top = jnp.max(scores, axis=1)
        here = number[jnp.argmax(scores, axis=1)]
        better = top > value
        return (jnp.where(better, top, value), jnp.where(better, here, place)), None

    lowest = stats.vary_like(jnp.full(len(rows), -jnp.inf, rows.dtype), rows)
    nowhere = stats.vary_like(jnp.zeros(len(rows), jnp.int32), rows)
    (_, place), _ = lax.scan(compare, (lowest, nowhere), in_parts(prototypes, offsets))
    return place


def in_parts(prototypes: Array, offsets: Array) -> tuple[Array, Array, Array]:
    """Numbers (P, S), prototypes (P, S, D) and offsets (P, S); -inf where there is no prototype."""
    count = len(prototypes)
    size = min(count, PART)
    more = -count % size
    prototypes = jnp.pad(prototypes, ((0, more), (0, 0))).reshape(-1, size, prototypes.shape[1])
    offsets = jnp.pad(offsets, (0, more), constant_values=-jnp.inf).reshape(-1, size)
    return jnp.arange(count + more, dtype=jnp.int32).reshape(-1, size), prototypes, offsets


def scores_of(rows: Array, prototypes: Array) -> Array:
    """Dot products (N, K) of rows (N, D) and prototypes (K, D), in full float32."""
    return jnp.matmul(rows, prototypes.T, precision="highest")
