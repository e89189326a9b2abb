"""CorInfoMax: views that agree, and a running covariance of each of large determinant."""

from typing import Literal, NamedTuple, get_args

import jax.numpy as jnp
from jax import Array, lax

from jax_bt import stats
from jax_bt.losses import _checks
from jax_bt.losses._explicit_mesh import on_any_mesh
from jax_bt.losses._linalg import log_det
from jax_bt.losses._views import stacked

Convention = Literal["cifar", "imagenet18"]


class CorInfoMaxState(NamedTuple):
    """What a step of ``cor_info_max`` leaves to the next, without gradient.

    Attributes:
      R: (K, D, D) running covariances, of each view or (K = 1) of all together.
      mu: (K, D) running means.
    """

    R: Array
    mu: Array


class CorInfoMax(NamedTuple):
    """Value of ``cor_info_max``, its terms, and the state that the next step takes.

    Attributes:
      loss: sim_weight * mse + cov.
      mse: mean squared difference of the views, mean over pairs, unweighted.
      cov: -(1/D) sum_k log|R_k + R_eps I|.
      state: give it to the next step.
    """

    loss: Array
    mse: Array
    cov: Array
    state: CorInfoMaxState


@on_any_mesh
def cor_info_max(
    z_a: Array,
    z_b: Array,
    *more: Array,
    state: CorInfoMaxState | None = None,
    la: float | Array = 0.01,
    sim_weight: float | Array = 250.0,
    R_eps: float | Array = 1e-8,
    convention: Convention = "cifar",
    axis_name: str | None = None,
    precision: str | None = "highest",
) -> CorInfoMax:
    """CorInfoMax loss of the global batch and its updated running statistics.

        mu_new = la mu + (1 - la) mean_n z
        R_new  = la R + (1 - la) (z - mu_new)^T (z - mu_new) / N
        loss = sim_weight mean (z_a - z_b)^2 - (1/D) sum_views log|R_new + R_eps I|

    The gradient goes through the batch's share of mu and R.

    Args:
      z_a: (n, D) embeddings of the first view, any floating dtype: the local shard under
        ``axis_name``, else the whole batch. The authors' projector scales its rows to unit length.
      z_b: (n, D) of the second view, row by row of the same examples.
      *more: (n, D) of further views: the similarity is the mean over all pairs.
      state: that of the last step, replicated; None at the start, for R = I and mu = 0.
      la: weight of the OLD statistics.
      sim_weight: weight of the similarity (CIFAR-10 250, ImageNet-100 500).
      R_eps: added to the diagonal of R, in units of variance.
      convention: "cifar" keeps R and mu of each view; "imagenet18" one of all views together, of
        which there is one determinant.
      axis_name: mapped axis of ``shard_map`` or ``pmap``; None on one device or under ``jit``.
      precision: of the covariances' products (``jax.lax.Precision``).

    Returns:
      ``CorInfoMax``: float32 (float64 for float64 input), the same on every shard.

    Raises:
      ValueError: shapes that do not match, arguments that are not floating, R_eps not positive, or
        an unknown convention.

    Example:
      >>> import jax.numpy as jnp
      >>> from jax_bt import losses
      >>> z = jnp.array([[1.0, 1.0], [1.0, -1.0], [-1.0, 1.0], [-1.0, -1.0]])
      >>> print(f"{losses.cor_info_max(z, -z).loss:.2f}")  # R = I: 250 mean (2 z)^2
      1000.00

    Reference: Ozsoy et al., Self-Supervised Learning with an Information Maximization Criterion,
      NeurIPS 2022, https://arxiv.org/abs/2209.07999
    """
    _checks.precision(precision)
    _checks.one_of("convention", convention, get_args(Convention))
    _checks.positive(R_eps=R_eps)
    views = stacked(z_a, z_b, *more, axis_name=axis_name)
    count, _, width = views.shape
    centre = jnp.mean(views, axis=0)
    # The mean over pairs of (z_u - z_v)^2, by the distances from the views' mean.
    mse = stats.mean(jnp.square(views - centre), (0, 1, 2), axis_name) * (2 * count / (count - 1))

    if convention == "imagenet18":
        views = views.reshape(1, -1, width)
    R, mu = _checked(state, len(views), width, views.dtype)
    mu = la * mu + (1 - la) * stats.mean(views, axis=1, axis_name=axis_name)
    centered = views - mu[:, None]
    moment = jnp.matmul(centered.mT, centered, precision=precision) / views.shape[1]
    R = la * R + (1 - la) * stats.all_mean(moment, axis_name)
    cov = -jnp.sum(log_det(R + R_eps * jnp.eye(width, dtype=R.dtype))) / width
    state = lax.stop_gradient(CorInfoMaxState(R, mu))
    return CorInfoMax(sim_weight * mse + cov, mse, cov, state)


def _checked(state, count, width, dtype):
    """R and mu of the last step, or those of the first, in the dtype of the views."""
    if state is None:
        R = jnp.broadcast_to(jnp.eye(width, dtype=dtype), (count, width, width))
        return R, jnp.zeros((count, width), dtype)
    R, mu = (
        _checks.floating("state.R", state.R, "K D D"),
        _checks.floating("state.mu", state.mu, "K D"),
    )
    if R.shape != (count, width, width) or mu.shape != (count, width):
        raise ValueError(
            f"state has R {R.shape} and mu {mu.shape}: expected ({count}, {width}, {width}) and "
            f"({count}, {width}) for these views and convention"
        )
    return R.astype(dtype), mu.astype(dtype)
