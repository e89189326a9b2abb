"""Barlow Twins drives the cross-correlation matrix of two views to the identity."""

import functools
import itertools
import math
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from jax_bt import stats
from jax_bt.errors import UsageError
from jax_bt.losses import _checks, _cost
from jax_bt.losses._correlations import correlations
from jax_bt.losses._explicit_mesh import on_any_mesh


class BarlowTwins(NamedTuple):
    """Value of ``barlow_twins`` and its terms.

    Attributes:
      loss: invariance + lambd * redundancy, or one of the two summands (``terms``).
      invariance: sum_i (C_ii - 1)^2.
      redundancy: sum_{i != j} C_ij^2, or of (C_ij + 1)^2, without its weight.
    """

    loss: Array
    invariance: Array
    redundancy: Array


@on_any_mesh
def barlow_twins(
    z_a: Array,
    z_b: Array,
    *more: Array,
    lambd: float | Array | Literal["1/d"] = 0.0051,
    axis_name: str | None = None,
    form: Literal["auto", "cross_correlation", "gram"] = "auto",
    terms: Literal["both", "invariance", "redundancy"] = "both",
    normalize: Literal["batch", "features", "none"] = "batch",
    correlation: Literal["cross", "auto"] = "cross",
    off_diagonal: Literal["zero", "neg_one"] = "zero",
    temperature: float | Array | None = None,
    ddof: Literal[0, 1] = 0,
    eps: float = 1e-5,
    precision: str | None = "highest",
) -> BarlowTwins:
    """Barlow Twins loss of the global batch, exact in each form.

        C = za^T zb / N,  za = (z_a - mean) / sqrt(var + eps) per column of each view, var over N
        loss = sum_i (C_ii - 1)^2 + lambd * sum_{i != j} C_ij^2

    With more than two views: the mean over all pairs of views.

    Args:
      z_a: (n, D) embeddings of the first view, any floating dtype: the local shard under
        ``axis_name``, else the whole batch.
      z_b: (n, D) of the second view, row by row of the same examples.
      *more: (n, D) of further views.
      lambd: weight of the redundancy; "1/d" is one over D, which keeps the two terms in proportion
        as D grows (there are D - 1 off-diagonal entries for each diagonal one).
      axis_name: mapped axis of ``shard_map`` or ``pmap``; None on one device or under ``jit``.
      form: "cross_correlation" (D x D matrices), "gram" (N x N), or "auto": the cheaper, which
        ``losses.chosen_form`` tells. Equal to rounding in value and gradient.
      terms: "both", or "invariance" or "redundancy": the loss is that term alone (Table 5); both
        are still returned.
      normalize: "batch" standardises each column over the batch; "features" also scales each row
        to unit length and takes C = za^T zb, not divided by N; "none" only centres the columns, so
        that C is the cross-covariance over N (Table 5).
      correlation: "cross", or "auto": the redundancy is that of the views' own correlation
        matrices, the mean over views (appendix A). The invariance is of the cross-correlation.
      off_diagonal: what the off-diagonal correlations are driven to: "zero", or "neg_one" as in
        Barlow-Twins-HSIC, whose redundancy is sum_{i != j} (C_ij + 1)^2.
      temperature: with a number t the terms are those of Table 5's last row,
        invariance = -log sum_i exp(C_ii / t), redundancy = log sum_{i != j} exp(max(C_ij, 0) / t),
        which needs the D x D form and a D of at least 2.
      ddof: the variance is over N - ddof, C over N. With 1 (and eps=0), as in Barlow-Twins-HSIC,
        equal views have C_ii = (N - 1) / N.
      eps: added to the variances.
      precision: of the large products (``jax.lax.Precision``). The default is full float32; None
        is the device's own, bfloat16 passes on a TPU.

    Returns:
      ``BarlowTwins``: float32 scalars (float64 for float64 input), the same on every shard.

    Raises:
      ValueError: shapes that do not match, a global batch below 2, embeddings that are not
        floating, an unknown option, or one that excludes another. The widths may only differ where
        no pair of columns is compared: ``terms="redundancy"`` with ``correlation="auto"``.

    Example:
      >>> import jax.numpy as jnp
      >>> from jax_bt import losses
      >>> z = jnp.array([[1.0, 1.0], [1.0, -1.0], [-1.0, 1.0], [-1.0, -1.0]])
      >>> print(f"{losses.barlow_twins(z, -z).loss:.2f}")  # C = -I
      8.00

    Reference: Zbontar et al., Barlow Twins, ICML 2021, https://arxiv.org/abs/2103.03230; HSIC: Tsai
      et al., 2021, https://arxiv.org/abs/2104.13712
    """
    _checks.one_of("form", form, _cost.FORMS)
    _checks.precision(precision)
    _checks.one_of("terms", terms, ("both", "invariance", "redundancy"))
    _checks.one_of("normalize", normalize, ("batch", "features", "none"))
    _checks.one_of("correlation", correlation, ("cross", "auto"))
    _checks.one_of("off_diagonal", off_diagonal, ("zero", "neg_one"))
    if temperature is not None and form == "gram":
        raise UsageError('form="gram" has no single correlations: temperature needs another form')
    if temperature is not None and off_diagonal != "zero":
        raise UsageError('temperature has no target of its own: give it or off_diagonal="neg_one"')
    columns_meet = terms != "redundancy" or correlation == "cross"
    views = _checks.embeddings(
        axis_name=axis_name,
        minimum=2,
        same_width=columns_meet,
        z_a=z_a,
        z_b=z_b,
        **{f"view {i}": view for i, view in enumerate(more, 2)},
    )
    if temperature is not None and min(view.shape[1] for view in views) < 2:
        raise UsageError("D=1 has no off-diagonal correlations: temperature needs D of at least 2")
    if isinstance(lambd, str):
        _checks.one_of("lambd", lambd, ("1/d",))
        lambd = 1 / views[0].shape[1]
    views = tuple(_normalized(view, normalize, eps, ddof, axis_name) for view in views)

    measure = functools.partial(_squares, form=form, off_diagonal=off_diagonal)
    if temperature is not None:
        measure = functools.partial(_exponentials, temperature=temperature)
    options = {"axis_name": axis_name, "precision": precision}
    invariance = redundancy = jnp.zeros((), views[0].dtype)
    if columns_meet:
        pairs = tuple(itertools.combinations(range(len(views)), 2))
        invariance, redundancy = measure(views, pairs, **options)
    if correlation == "auto":
        own = [measure((view,), ((0, 0),), **options)[1] for view in views]
        redundancy = sum(own) / len(own)
    loss = {
        "both": invariance + lambd * redundancy,
        "invariance": invariance,
        "redundancy": lambd * redundancy,
    }[terms]
    return BarlowTwins(jnp.asarray(loss), jnp.asarray(invariance), jnp.asarray(redundancy))


def _normalized(z, normalize, eps, ddof, axis_name):
    """The view such that C = za^T zb."""
    if normalize == "none":
        z = z - stats.mean(z, axis_name=axis_name)
    else:
        z = stats.standardize(z, eps, ddof=ddof, axis_name=axis_name)
    if normalize == "features":
        return stats.l2_normalize(z)
    # Here rather than on C: on a CPU XLA then keeps one (N, D) array less, 64 MiB at 2048 x 8192.
    return z / math.sqrt(z.shape[0] * stats.axis_size(axis_name))


def _squares(views, pairs, *, off_diagonal, axis_name, **options):
    """sum_i (C_ii - 1)^2 and sum_{i != j} C_ij^2 or (C_ij + 1)^2, means over pairs."""
    diagonal, off = correlations(views, pairs, axis_name=axis_name, **options)
    if off_diagonal == "neg_one":
        # sum_ij C_ij = sum_n (sum_i za_ni) (sum_j zb_nj): neither form needs a matrix for it.
        sums = [jnp.sum(view, axis=1) for view in views]
        local = [jnp.sum(sums[u] * sums[v]) for u, v in pairs]
        entries = stats.all_sum(sum(local[1:], local[0]), axis_name)
        width = diagonal.shape[1]
        off += 2 * (entries - jnp.sum(diagonal)) + len(pairs) * width * (width - 1)
    return jnp.sum(jnp.square(diagonal - 1)) / len(pairs), off / len(pairs)


def _exponentials(views, pairs, *, temperature, axis_name, precision):
    """-log sum_i exp(C_ii / t) and log sum_{i != j} exp(max(C_ij, 0) / t), means over pairs."""
    on = off = 0
    for u, v in pairs:
        c = jnp.matmul(views[u].T, views[v], precision=precision)
        c = stats.all_sum(c, axis_name) / temperature
        on -= jax.nn.logsumexp(jnp.diagonal(c))
        off += jax.nn.logsumexp(jnp.maximum(c, 0), where=~jnp.eye(c.shape[0], dtype=bool))
    return on / len(pairs), off / len(pairs)
