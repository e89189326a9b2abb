"""Statistics of the global batch: the only file with collectives.

Every function takes the local shard of a batch and ``axis_name``. With ``axis_name=None`` the array
at hand is the whole batch (one device, or ``jit`` over a sharded global array); under ``shard_map``
or ``pmap`` the name of the mapped axis makes the result that of all shards together.

Statistics are computed in float32, or in float64 for float64 input, whatever the input's dtype.
"""

import jax.numpy as jnp
from jax import Array, lax


def wide(x: Array) -> Array:
    """Casts to the dtype statistics are computed in: at least float32."""
    return x.astype(jnp.promote_types(x.dtype, jnp.float32))


def axis_size(axis_name: str | None) -> int:
    """Number of shards of the mapped axis; 1 without one."""
    return 1 if axis_name is None else lax.axis_size(axis_name)


def all_sum(x: Array, axis_name: str | None = None) -> Array:
    """Sum of ``x`` over the shards, elementwise."""
    return x if axis_name is None else lax.psum(x, axis_name)


def all_mean(x: Array, axis_name: str | None = None) -> Array:
    """Mean of ``x`` over the shards, elementwise."""
    return x if axis_name is None else lax.pmean(x, axis_name)


def mean(x: Array, axis: int | tuple[int, ...] = 0, axis_name: str | None = None) -> Array:
    """Mean over ``axis`` of the global batch; shards are of equal size."""
    return all_mean(jnp.mean(wide(x), axis=axis), axis_name)


def mean_and_variance(
    x: Array, axis: int | tuple[int, ...] = 0, ddof: int = 0, axis_name: str | None = None
) -> tuple[Array, Array]:
    """Mean and variance over ``axis`` of the global batch, in two passes.

    The one-pass form E[x^2] - E[x]^2 loses every digit when the mean is large beside the spread:
    float32 with mean 1000 and deviation 1 gives 0.69 for 0.95.

    Args:
      x: local shard, any floating dtype.
      axis: the axes reduced.
      ddof: 0 divides by the number of examples n, 1 by n - 1.
      axis_name: mapped axis, or None.

    Returns:
      (mean, variance), float32 or wider, without the reduced axes.
    """
    x = wide(x)
    center = all_mean(jnp.mean(x, axis=axis, keepdims=True), axis_name)
    variance = all_mean(jnp.mean(jnp.square(x - center), axis=axis), axis_name)
    if ddof:
        count = (x.size // center.size) * axis_size(axis_name)
        variance = variance * (count / (count - ddof))
    return jnp.squeeze(center, axis=axis), variance
