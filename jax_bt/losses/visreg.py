"""VISReg: views that agree, and embeddings of unit scale, normal shape and zero mean."""

from typing import Annotated, Literal, NamedTuple, get_args

import jax.numpy as jnp
from jax import Array, lax
from jax.scipy.special import ndtri

from jax_bt import stats
from jax_bt.losses import _checks
from jax_bt.losses._explicit_mesh import on_any_mesh
from jax_bt.losses._slices import unit_directions
from jax_bt.losses._views import global_count, stacked

Convention = Literal["author", "lightly"]


class VISReg(NamedTuple):
    """Value of ``visreg`` and its terms, which are unweighted.

    Attributes:
      loss: (1 - lam) pred + lam (scale_weight scale + shape_weight shape + center_weight center).
      pred: mean squared distance of the views from the mean of the global views.
      scale: mean squared distance of the standard deviations from 1.
      shape: mean squared distance of the sorted projections from the normal quantiles.
      center: mean square of the batch means.
    """

    loss: Array
    pred: Array
    scale: Array
    shape: Array
    center: Array

    @property
    def reg(self) -> Array:
        """Sum of the three regularisers, as the authors' code names it."""
        return self.scale + self.shape + self.center


@on_any_mesh
def visreg(
    z_a: Array,
    z_b: Array,
    *more: Array,
    directions: Annotated[Array, "D M"] | None = None,
    key: Array | None = None,
    slices: int = 4096,
    lam: float | Array = 0.9,
    scale_weight: float | Array = 1.0,
    shape_weight: float | Array = 1.0,
    center_weight: float | Array = 1.0,
    n_global: int | None = None,
    convention: Convention = "author",
    axis_name: str | None = None,
    precision: str | None = "highest",
) -> VISReg:
    """VISReg loss of the global batch: every slice sorts all N examples.

        pred   = mean (z - mean of the global views)^2
        scale  = mean_{views, d} (1 - std_d)^2,  std over N
        shape  = mean_{views, slices a, i} (sort_i(a.y) - q_i)^2
        center = mean_{views, d} mean_n(z)^2
        y = (z - mean) / sg(std + 1e-6),  q_i = standard normal quantile of i / (N + 1)
        loss = (1 - lam) pred + lam (scale + shape + center)

    sg stops the gradient. The devices gather the embeddings and share the slices out among them.

    Args:
      z_a: (n, D) embeddings of the first view, any floating dtype: the local shard under
        ``axis_name``, else the whole batch.
      z_b: (n, D) of the second view, row by row of the same examples.
      *more: (n, D) of further views.
      directions: (D, M) directions of the slices, replicated, scaled here to unit columns.
      key: in place of ``directions``: the key of a draw, the same on every device (of the step).
      slices: M of that draw.
      lam: weight of the regularisers against the prediction (0.6 for small data sets).
      scale_weight: weight of scale among the regularisers.
      shape_weight: weight of shape.
      center_weight: weight of center.
      n_global: the first n_global views are the global ones; None is all of them.
      convention: "author" adds 1e-6 to the deviation in scale too. "lightly" adds nothing there and
        1e-4 in shape.
      axis_name: mapped axis of ``shard_map`` or ``pmap``; None on one device or under ``jit``.
      precision: of the projections (``jax.lax.Precision``). The default is full float32.

    Returns:
      ``VISReg``: float32 scalars (float64 for float64 input), the same on every shard.

    Raises:
      ValueError: shapes that do not match, embeddings that are not floating, both or neither of
        ``directions`` and ``key``, ``n_global`` outside 1..V, or an unknown convention.

    Example:
      >>> import jax.numpy as jnp
      >>> from jax_bt import losses
      >>> z = jnp.array([[1.0, 1.0], [1.0, -1.0], [-1.0, 1.0], [-1.0, -1.0]])
      >>> out = losses.visreg(z, -z, directions=jnp.eye(2), lam=0.0)
      >>> print(f"{out.loss:.4f}")  # mean z^2, as the centre is 0
      1.0000

    Reference: VISReg, 2026, https://arxiv.org/abs/2606.02572
    """
    _checks.precision(precision)
    _checks.one_of("convention", convention, get_args(Convention))
    views = stacked(z_a, z_b, *more, axis_name=axis_name)
    n_global = global_count(n_global, len(views))
    a = unit_directions(views.shape[2], views.dtype, directions=directions, key=key, slices=slices)
    centre = jnp.mean(views[:n_global], axis=0)
    pred = stats.mean(jnp.square(views - centre), (0, 1, 2), axis_name)

    mean, variance = stats.mean_and_variance(views, axis=1, axis_name=axis_name)
    std = variance * stats.inverse_sqrt(variance)
    in_scale, in_shape = (1e-6, 1e-6) if convention == "author" else (0.0, 1e-4)
    scale = jnp.mean(jnp.square(1 - (std + in_scale)))
    center = jnp.mean(jnp.square(mean))
    y = (views - mean[:, None]) / lax.stop_gradient(std + in_shape)[:, None]
    shape = _shape(y, a, axis_name, precision)
    regularizers = scale_weight * scale + shape_weight * shape + center_weight * center
    return VISReg((1 - lam) * pred + lam * regularizers, pred, scale, shape, center)


def _shape(y, a, axis_name, precision):
    """Mean squared distance of the sorted projections of all rows from the normal quantiles."""
    y = stats.all_gather(y, axis=1, axis_name=axis_name)
    count, slices, shards = y.shape[1], a.shape[1], stats.axis_size(axis_name)
    share = -(-slices // shards)
    mine = stats.shard_index(axis_name) * share + jnp.arange(share)
    # Where the slices do not divide, the last devices repeat one and leave it out of the sum.
    a = jnp.take(a, jnp.minimum(mine, slices - 1), axis=1)
    projections = jnp.sort(jnp.matmul(y, a, precision=precision), axis=1)
    quantiles = ndtri(jnp.arange(1, count + 1, dtype=y.dtype) / (count + 1))
    distance = jnp.mean(jnp.square(projections - quantiles[:, None]), axis=(0, 1))
    return stats.all_sum(jnp.sum(jnp.where(mine < slices, distance, 0)), axis_name) / slices
