"""Draws random directions along which a loss compares distributions, one dimension at a time."""

import jax
import jax.numpy as jnp
from jax import Array

from jax_bt import stats
from jax_bt.errors import UsageError
from jax_bt.losses import _checks


def unit_directions(
    width: int, dtype: jnp.dtype, *, directions: Array | None, key: Array | None, slices: int
) -> Array:
    """Directions of unit length: those given, or ``slices`` uniformly random ones drawn from a key.

    Args:
      width: D of the embeddings.
      dtype: of the result; the draw itself is float32, so that float64 sees the same directions.
      directions: (D, M), any floating dtype, scaled here to unit columns; or None.
      key: a key of ``jax.random``, the same on every device; or None.
      slices: M of a draw.

    Returns:
      (D, M) with unit columns.

    Raises:
      ValueError: neither or both of ``directions`` and ``key``, directions that are not floating or
        not (D, M), or ``slices`` below 1.
    """
    if (directions is None) == (key is None):
        raise UsageError("give either directions=(D, M) or key=jax.random.key(step)")
    if directions is None:
        assert key is not None
        if slices < 1:
            raise UsageError(f"slices={slices} must be at least 1")
        directions = jax.random.normal(key, (width, slices), jnp.float32)
    directions = _checks.floating("directions", directions, "D M")
    if directions.shape[0] != width:
        raise ValueError(f"directions has shape {directions.shape}: expected (D={width}, M)")
    return stats.l2_normalize(directions.astype(dtype), axis=0)
