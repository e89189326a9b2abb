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


def group_mean(x: Array, group_size: int, axis_name: str) -> Array:
    """Mean of ``x`` over this shard's group of ``group_size`` consecutive shards, elementwise.

    A psum of one row a group stands in for ``axis_index_groups``, which ``shard_map`` refuses while
    it checks replication.

    Args:
      x: the shard's value, any shape, float.
      group_size: shards a group; divides the size of the axis. 1 means no communication.
      axis_name: the mapped axis.

    Returns:
      The group's mean, of x's shape; it varies from group to group.

    Raises:
      ValueError: if ``group_size`` does not divide the number of shards.
    """
    shards = lax.axis_size(axis_name)
    if group_size < 1 or shards % group_size:
        raise ValueError(
            f"group_size={group_size} must divide the {shards} shards of {axis_name!r}"
        )
    if group_size == 1:
        return x
    group = lax.axis_index(axis_name) // group_size
    rows = jnp.zeros((shards // group_size, *x.shape), x.dtype).at[group].set(x)
    return lax.psum(rows, axis_name)[group] / group_size


def shard_index(axis_name: str | None = None) -> Array | int:
    """This shard's place along the mapped axis; 0 without one."""
    return 0 if axis_name is None else lax.axis_index(axis_name)


def all_gather(x: Array, axis: int = 0, axis_name: str | None = None) -> Array:
    """The global array from its shards along ``axis``, in the order of the devices.

    The gradient is exact: every shard receives the sum of what all of them ask of its part.
    """
    return x if axis_name is None else lax.all_gather(x, axis_name, axis=axis, tiled=True)


def log_sum_exp(x: Array, axis: int = 0, axis_name: str | None = None) -> Array:
    """log sum exp(x) over ``axis`` of the global batch, safe for any magnitude; no gradient."""
    x = lax.stop_gradient(wide(x))
    top = jnp.max(x, axis=axis, keepdims=True)
    top = top if axis_name is None else lax.pmax(top, axis_name)
    total = all_sum(jnp.sum(jnp.exp(x - top), axis=axis), axis_name)
    return jnp.log(total) + jnp.squeeze(top, axis=axis)
