"""VICReg draws two views together, keeps their variances up and their covariances at zero."""

import functools
import itertools
import math
from collections.abc import Sequence
from typing import Literal, NamedTuple

import jax.numpy as jnp
from jax import Array

from jax_bt import stats
from jax_bt.errors import UsageError
from jax_bt.losses import _checks, _cost
from jax_bt.losses._correlations import correlations
from jax_bt.losses._explicit_mesh import on_any_mesh


class VICReg(NamedTuple):
    """Value of ``vicreg`` and its terms, which are unweighted.

    Attributes:
      loss: the weighted sum of the three.
      invariance: mean squared difference over batch and dimensions.
      variance: mean_d max(0, gamma - std_d), half of it for each of two views.
      covariance: sum_{i != j} cov_ij^2 / D, or corr_ij^2 / D^2, summed over two views.
    """

    loss: Array
    invariance: Array
    variance: Array
    covariance: Array


@on_any_mesh
def vicreg(
    z_a: Array,
    z_b: Array,
    *more: Array,
    invariance_weight: float | Array = 25.0,
    variance_weight: float | Array | Sequence[float | Array] = 25.0,
    covariance_weight: float | Array | Sequence[float | Array] = 1.0,
    gamma: float | Array = 1.0,
    eps: float = 1e-4,
    axis_name: str | None = None,
    form: Literal["auto", "cross_correlation", "gram"] = "auto",
    normalize: Literal["none", "std", "l2"] = "none",
    halve_variance: bool = True,
    correlation: bool = False,
    precision: str | None = "highest",
) -> VICReg:
    """VICReg loss of the global batch, exact in each form.

        invariance = mean_nd (za - zb)^2
        variance   = sum_views mean_d max(0, gamma - sqrt(var_d + eps)) / 2,  var over N - 1
        covariance = sum_views sum_{i != j} cov_ij^2 / D,                     cov over N - 1
        loss = invariance_weight * invariance + variance_weight * variance
             + covariance_weight * covariance

    With more than two views: the mean over all pairs of views.

    Args:
      z_a: (n, D) embeddings of the first view, any floating dtype: the local shard under
        ``axis_name``, else the whole batch.
      z_b: (n, D) of the second view, row by row of the same examples.
      *more: (n, D) of further views.
      invariance_weight: weight of the invariance. With 0 the views may differ in width (branches
        that share nothing but the batch); the invariance is then returned as 0.
      variance_weight: weight of the variance; or one for each view, as unlike branches may need
        (images and texts, section 5.2).
      covariance_weight: weight of the covariance, or one for each view.
      gamma: least standard deviation, in the units of the embeddings; with ``normalize="l2"`` in
        units of 1 / sqrt(D), the deviation of unit vectors spread over all dimensions.
      eps: added to the variance under the root.
      axis_name: mapped axis of ``shard_map`` or ``pmap``; None on one device or under ``jit``.
      form: "cross_correlation" (D x D matrices), "gram" (N x N), or "auto": the cheaper, which
        ``losses.chosen_form`` tells. Equal to rounding in value and gradient.
      normalize: of the embeddings before all three terms (appendix D): "none", "std" standardises
        the columns over the batch with variance over N - 1, "l2" scales the rows to unit length.
      halve_variance: True as in the reference's code, False as in the paper's text.
      correlation: True makes the covariance term that of VIbCReg: correlations in place of
        covariances, sum_{i != j} corr_ij^2 / D^2. VIbCReg also has covariance_weight=200 and
        halve_variance=False.
      precision: of the large products (``jax.lax.Precision``). The default is full float32; None
        is the device's own, bfloat16 passes on a TPU.

    Returns:
      ``VICReg``: float32 scalars (float64 for float64 input), the same on every shard.

    Raises:
      ValueError: shapes that do not match, a global batch below 2, embeddings that are not
        floating, or an unknown option.

    Example:
      >>> import jax.numpy as jnp
      >>> from jax_bt import losses
      >>> z = jnp.array([[1.0, 1.0], [1.0, -1.0], [-1.0, 1.0], [-1.0, -1.0]])
      >>> print(f"{losses.vicreg(z, -z).loss:.4f}")  # 25 mean (2 z)^2, nothing else
      100.0000

    Reference: Bardes et al., VICReg, ICLR 2022, https://arxiv.org/abs/2105.04906; VIbCReg: Lee and
      Aune, 2021, https://arxiv.org/abs/2109.00783
    """
    _checks.one_of("form", form, _cost.FORMS)
    _checks.precision(precision)
    _checks.one_of("normalize", normalize, ("none", "std", "l2"))
    columns_meet = not (isinstance(invariance_weight, int | float) and invariance_weight == 0)
    views = _checks.embeddings(
        axis_name=axis_name,
        minimum=2,
        same_width=columns_meet,
        z_a=z_a,
        z_b=z_b,
        **{f"view {i}": view for i, view in enumerate(more, 2)},
    )
    if normalize == "std":
        views = tuple(stats.standardize(z, eps, ddof=1, axis_name=axis_name) for z in views)
    elif normalize == "l2":
        views = tuple(stats.l2_normalize(z) for z in views)

    pairs = tuple(itertools.combinations(views, 2)) if columns_meet else ()
    differences = [stats.mean(jnp.square(a - b), (0, 1), axis_name) for a, b in pairs]
    invariance = sum(differences, jnp.zeros((), views[0].dtype)) / max(len(pairs), 1)

    degrees = views[0].shape[0] * stats.axis_size(axis_name) - 1
    own = functools.partial(
        correlations,
        pairs=((0, 0),),
        scale=1 / degrees,
        form=form,
        axis_name=axis_name,
        precision=precision,
    )
    variances, covariances = [], []
    for z in views:
        width = z.shape[1]
        z = z - stats.mean(z, axis_name=axis_name)
        if correlation:
            variance = stats.all_sum(jnp.sum(jnp.square(z), axis=0), axis_name) / degrees
            _, off = own((z * stats.inverse_sqrt(variance),))
        else:
            (variance,), off = own((z,))
        target = gamma / math.sqrt(width) if normalize == "l2" else gamma
        variances.append(jnp.mean(jnp.maximum(target - _sqrt(variance + eps), 0)))
        covariances.append(off / width**2 if correlation else off / width)
    # The mean over pairs of a sum over a pair's two views is twice the mean over views.
    variance, variance_loss = _mean_and_loss(variances, variance_weight, 1 if halve_variance else 2)
    covariance, covariance_loss = _mean_and_loss(covariances, covariance_weight, 2)
    loss = invariance_weight * invariance + variance_loss + covariance_loss
    return VICReg(loss, invariance, jnp.asarray(variance), jnp.asarray(covariance))


def _mean_and_loss(
    terms: list[Array], weight: float | Array | Sequence[float | Array], factor: int
) -> tuple[Array, Array]:
    """``factor`` times the mean of the views' terms, plain and weighted."""
    share, zero = factor / len(terms), jnp.zeros((), terms[0].dtype)
    mean = share * sum(terms, zero)
    if not isinstance(weight, Sequence):
        return mean, jnp.asarray(weight * mean)
    if len(weight) != len(terms):
        raise UsageError(f"{len(weight)} weights for {len(terms)} views: give one, or one each")
    each = zip(weight, terms, strict=True)
    return mean, share * sum((w * term for w, term in each), zero)


def _sqrt(x):
    """Square root with gradient 0 at 0, where ``eps=0`` meets a constant column."""
    positive = x > 0
    return jnp.where(positive, jnp.sqrt(jnp.where(positive, x, 1)), 0)
