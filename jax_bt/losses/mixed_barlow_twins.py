"""Mixed Barlow Twins: a third view, of mixed images, correlates as the mixture of embeddings."""

from typing import Literal, NamedTuple

import jax.numpy as jnp
from jax import Array, lax

from jax_bt import stats
from jax_bt.losses import _checks
from jax_bt.losses._correlations import correlations
from jax_bt.losses._cost import FORMS
from jax_bt.losses._explicit_mesh import on_any_mesh


class MixedBarlowTwins(NamedTuple):
    """Value of ``mixed_barlow_twins`` and its terms.

    Attributes:
      loss: loss_bt + loss_mix.
      loss_bt: the Barlow Twins loss of the two views.
      loss_mix: mixup_loss_scale * lambd * the squared errors of the mixed view's correlations.
    """

    loss: Array
    loss_bt: Array
    loss_mix: Array


@on_any_mesh
def mixed_barlow_twins(
    z_a: Array,
    z_b: Array,
    z_m: Array,
    *,
    permutation: Array,
    alpha: float | Array,
    lambd: float | Array = 0.0078125,
    mixup_loss_scale: float | Array = 0.1,
    axis_name: str | None = None,
    form: Literal["auto", "cross_correlation", "gram"] = "auto",
    precision: str | None = "highest",
) -> MixedBarlowTwins:
    """Mixed Barlow Twins loss of the global batch, exact in each form.

        loss_bt  = sum_i (C_ab_ii - 1)^2 + lambd sum_{i != j} C_ab_ij^2,  C_uv = zu^T zv / N
        loss_mix = mixup_loss_scale lambd sum_{v in a, b} ||C_mv - G_v||^2
        G_v = alpha C_av + (1 - alpha) (zb[permutation])^T zv / N

    of standardised columns, variance over N - 1 (so that equal views have C_ii = (N - 1) / N). As
    C_mv - G_v = e^T zv / N with e = zm - alpha za - (1 - alpha) zb[permutation], the second term is
    two more products of the first's kind, D x D or N x N. Its gradient goes through G too.

    Args:
      z_a: (n, D) embeddings of the first view, any floating dtype: the local shard under
        ``axis_name``, else the whole batch.
      z_b: (n, D) of the second view, row by row of the same examples.
      z_m: (n, D) of the mixed images alpha * x_a + (1 - alpha) * x_b[permutation].
      permutation: (N,) integers, rows of the GLOBAL batch, the same on every device.
      alpha: the weight with which the images were mixed, in [0, 1].
      lambd: weight of the redundancy.
      mixup_loss_scale: weight of the mixed view, times lambd.
      axis_name: mapped axis of ``shard_map`` or ``pmap``; None on one device or under ``jit``.
      form: "cross_correlation" (D x D matrices), "gram" (N x N), or "auto": the cheaper. Equal to
        rounding in value and gradient.
      precision: of the large products (``jax.lax.Precision``). The default is full float32.

    Returns:
      ``MixedBarlowTwins``: float32 scalars (float64 for float64 input), the same on every shard.

    Raises:
      ValueError: shapes that do not match, a global batch below 2, embeddings that are not
        floating, a permutation that is not N integers, or an unknown form.

    Example:
      >>> import jax.numpy as jnp
      >>> from jax_bt import losses
      >>> z = jnp.array([[1.0, 1.0], [1.0, -1.0], [-1.0, 1.0], [-1.0, -1.0]])
      >>> rows = jnp.arange(4)
      >>> out = losses.mixed_barlow_twins(z, z, z, permutation=rows, alpha=0.5)
      >>> print(f"{out.loss:.4f}")  # 2 (3 / 4 - 1)^2
      0.1250

    Reference: Bandara et al., Guarding Barlow Twins Against Overfitting with Mixed Samples, 2023,
      https://arxiv.org/abs/2312.02151
    """
    _checks.precision(precision)
    _checks.one_of("form", form, FORMS)
    views = _checks.embeddings(axis_name=axis_name, minimum=2, z_a=z_a, z_b=z_b, z_m=z_m)
    rows = views[0].shape[0]
    count = rows * stats.axis_size(axis_name)
    permutation = jnp.asarray(permutation)
    if permutation.shape != (count,) or not jnp.issubdtype(permutation.dtype, jnp.integer):
        raise ValueError(
            f"permutation is {permutation.dtype} of shape {permutation.shape}: expected integers "
            f"of shape ({count},), the rows of the global batch"
        )
    a, b, m = (stats.standardize(z, 0.0, ddof=1, axis_name=axis_name) for z in views)
    first = stats.shard_index(axis_name) * rows
    mine = lax.dynamic_slice_in_dim(permutation, first, rows)
    partner = jnp.take(stats.all_gather(b, axis_name=axis_name), mine, axis=0)
    error = m - alpha * a - (1 - alpha) * partner

    options = {"scale": 1 / count, "form": form, "axis_name": axis_name, "precision": precision}
    diagonal, off = correlations((a, b), ((0, 1),), **options)
    loss_bt = jnp.sum(jnp.square(diagonal - 1)) + lambd * off
    diagonal, off = correlations((error, a, b), ((0, 1), (0, 2)), **options)
    loss_mix = mixup_loss_scale * lambd * (jnp.sum(jnp.square(diagonal)) + off)
    return MixedBarlowTwins(loss_bt + loss_mix, loss_bt, loss_mix)
