"""MEC: maximum entropy coding, the Taylor series of a log-determinant of two views' products."""

from typing import NamedTuple

import jax.numpy as jnp
from jax import Array, lax

from jax_bt import stats
from jax_bt.losses import _checks
from jax_bt.losses._explicit_mesh import on_any_mesh


class MEC(NamedTuple):
    """Value of ``mec`` and its term: loss = -lamda_inv * mec."""

    loss: Array
    mec: Array


@on_any_mesh
def mec(
    p1: Array,
    p2: Array,
    z1: Array,
    z2: Array,
    *,
    lamda_inv: float | Array | None = None,
    eps: float | Array = 64.0,
    order: int = 4,
    axis_name: str | None = None,
    precision: str | None = "highest",
) -> MEC:
    """Maximum entropy coding loss of the global batch.

        mec = (T(p1, z2) + T(p2, z1)) / (2 N)
        T(p, z) = sum_{k=1..order} (-1)^(k+1) / k tr(c^k),  c = p z^T / lamda_inv
        loss = -lamda_inv * mec

    with rows of unit length. T approaches log|I + c|. Since tr((p z^T)^k) = tr((p^T z)^k), the
    matrix is N x N or D x D, whichever is smaller.

    Args:
      p1: (n, D) predictions of view 1, any floating dtype; normalised here. The local shard under
        ``axis_name``, else the whole batch.
      p2: (n, D) of view 2.
      z1: (n, D) projections of view 1 by the momentum network; normalised here, no gradient.
      z2: (n, D) of view 2.
      lamda_inv: 1 / lambda of the paper, above the largest eigenvalue of p z^T for the series to
        converge (N is a bound); None is N * eps / D.
      eps: squared distortion, where lamda_inv is None.
      order: terms of the series.
      axis_name: mapped axis of ``shard_map`` or ``pmap``; None on one device or under ``jit``.
      precision: of the products (``jax.lax.Precision``). The default is full float32.

    Returns:
      ``MEC``: float32 scalars (float64 for float64 input), the same on every shard.

    Raises:
      ValueError: shapes that do not match, arguments that are not floating, or an option that is
        not positive.

    Example:
      >>> import jax.numpy as jnp
      >>> from jax_bt import losses
      >>> z = jnp.array([[1.0, 1.0], [1.0, -1.0], [-1.0, 1.0], [-1.0, -1.0]])
      >>> print(f"{losses.mec(z, z, z, z).loss:.4f}")  # about -64 log(65 / 64)
      -0.9923

    Reference: Liu et al., Self-Supervised Learning via Maximum Entropy Coding, NeurIPS 2022,
      https://arxiv.org/abs/2210.11464
    """
    _checks.precision(precision)
    _checks.positive(eps=eps, order=order)
    arrays = _checks.embeddings(axis_name=axis_name, p1=p1, p2=p2, z1=z1, z2=z2)
    p1, p2, z1, z2 = (stats.l2_normalize(x) for x in arrays)
    count, width = p1.shape[0] * stats.axis_size(axis_name), p1.shape[1]
    lamda_inv = count * eps / width if lamda_inv is None else lamda_inv
    _checks.positive(lamda_inv=lamda_inv)
    p, z = jnp.stack([p1, p2]), lax.stop_gradient(jnp.stack([z2, z1]))
    if count < width:
        p, z = (stats.all_gather(x, axis=1, axis_name=axis_name) for x in (p, z))
        c = jnp.matmul(p, z.mT, precision=precision)
    else:
        c = stats.all_sum(jnp.matmul(p.mT, z, precision=precision), axis_name)
    c = c / lamda_inv

    power, series = c, jnp.zeros((), c.dtype)
    for k in range(1, order + 1):
        if k > 1:
            power = jnp.matmul(power, c, precision=precision)
        series -= (-1) ** k / k * jnp.mean(jnp.trace(power, axis1=-2, axis2=-1))
    if count < width:
        # Of gathered rows every device holds the same value; the mean tells the replication check.
        series = stats.all_mean(series, axis_name)
    value = series / count
    return MEC(-lamda_inv * value, value)
