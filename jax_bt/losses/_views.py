"""Checks any number of views of one batch and stacks them."""

import jax.numpy as jnp
from jax import Array

from jax_bt.errors import UsageError
from jax_bt.losses import _checks


def stacked(
    z_a: Array, z_b: Array, *more: Array, axis_name: str | None = None, minimum: int = 1
) -> Array:
    """Checks views, each (n, D), and stacks them: (V, n, D), float32 or, for float64, float64.

    Raises:
      ValueError: as ``_checks.embeddings``.
    """
    further = {f"view {i}": view for i, view in enumerate(more, 2)}
    named = {"z_a": z_a, "z_b": z_b, **further}
    views = _checks.embeddings(axis_name=axis_name, minimum=minimum, same_width=True, **named)
    return jnp.stack(views)


def global_count(n_global: int | None, count: int) -> int:
    """How many of ``count`` views are global ones: the first ``n_global``, or all for None."""
    if n_global is None:
        return count
    if not 1 <= n_global <= count:
        raise UsageError(f"n_global={n_global} must be 1 to {count}, the number of views")
    return n_global
