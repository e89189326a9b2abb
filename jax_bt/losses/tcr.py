"""TCR (EMP-SSL): views that agree with their mean, and a large coding rate of each view."""

from typing import Literal, NamedTuple, get_args

import jax.numpy as jnp
from jax import Array

from jax_bt import stats
from jax_bt.losses import _checks
from jax_bt.losses._cosine import cosine
from jax_bt.losses._explicit_mesh import on_any_mesh
from jax_bt.losses._linalg import log_det
from jax_bt.losses._views import stacked

Convention = Literal["author", "lightly"]


class TCR(NamedTuple):
    """Value of ``tcr`` and its terms, which are unweighted.

    Attributes:
      loss: sim_weight * sim + tcr_weight * tcr.
      sim: minus the mean cosine of the views with their mean.
      tcr: minus the mean coding rate of the views; plus it in the convention "lightly".
    """

    loss: Array
    sim: Array
    tcr: Array


@on_any_mesh
def tcr(
    z_a: Array,
    z_b: Array,
    *more: Array,
    eps: float | Array = 0.2,
    sim_weight: float | Array = 200.0,
    tcr_weight: float | Array = 1.0,
    convention: Convention = "author",
    axis_name: str | None = None,
    precision: str | None = "highest",
) -> TCR:
    """EMP-SSL's total coding rate loss of the global batch, of any number of patches.

        tcr = -1/2 mean_views log|I + D / (N eps) z_v^T z_v|
        sim = -mean_{views, n} cos(z_v[n], mean_w z_w[n])
        loss = sim_weight * sim + tcr_weight * tcr

    For N < D the determinants are those of I + D / (N eps) z_v z_v^T, N x N and equal.

    Args:
      z_a: (n, D) embeddings of the first view or patch, any floating dtype, with rows of unit
        length: they are taken as they are, and without a bound on them the rate has none. The local
        shard under ``axis_name``, else the whole batch.
      z_b: (n, D) of the second, row by row of the same examples.
      *more: (n, D) of further ones (20 patches in the paper).
      eps: the squared distortion; the authors' argument of this name, not squared.
      sim_weight: weight of the similarity.
      tcr_weight: weight of the coding rate.
      convention: "author", or "lightly", whose rate has the opposite sign and is added: minimised,
        it makes the embeddings collapse. It is here to reproduce that code's numbers.
      axis_name: mapped axis of ``shard_map`` or ``pmap``; None on one device or under ``jit``.
      precision: of the large products (``jax.lax.Precision``). The default is full float32.

    Returns:
      ``TCR``: float32 scalars (float64 for float64 input), the same on every shard.

    Raises:
      ValueError: shapes that do not match, embeddings that are not floating, eps not positive, or
        an unknown convention.

    Example:
      >>> import jax.numpy as jnp
      >>> from jax_bt import losses
      >>> z = jnp.array([[1.0, 1.0], [1.0, -1.0], [-1.0, 1.0], [-1.0, -1.0]])
      >>> u = z / jnp.sqrt(2)
      >>> print(f"{losses.tcr(u, u).loss:.2f}")  # -200 - log 6
      -201.79

    Reference: Tong et al., EMP-SSL: Towards Self-Supervised Learning in One Training Epoch, 2023,
      https://arxiv.org/abs/2304.03977
    """
    _checks.precision(precision)
    _checks.one_of("convention", convention, get_args(Convention))
    _checks.positive(eps=eps)
    views = stacked(z_a, z_b, *more, axis_name=axis_name)
    rate = jnp.mean(_log_det_one_plus(views, eps, axis_name, precision)) / 2
    rate = rate if convention == "lightly" else -rate
    sim = -stats.mean(cosine(views, jnp.mean(views, axis=0)), (0, 1), axis_name)
    return TCR(sim_weight * sim + tcr_weight * rate, sim, rate)


def _log_det_one_plus(views, eps, axis_name, precision):
    """log|I + D / (N eps) z^T z| of each view, from the smaller of z^T z and z z^T."""
    count, width = views.shape[1] * stats.axis_size(axis_name), views.shape[2]
    if count < width:
        views = stats.all_gather(views, axis=1, axis_name=axis_name)
        moment = jnp.matmul(views, views.mT, precision=precision)
    else:
        moment = stats.all_sum(jnp.matmul(views.mT, views, precision=precision), axis_name)
    one = jnp.eye(min(count, width), dtype=views.dtype)
    value = log_det(one + moment * (width / count / eps))
    # Of gathered rows every device holds the same value; the mean tells the replication check so.
    return stats.all_mean(value, axis_name) if count < width else value
