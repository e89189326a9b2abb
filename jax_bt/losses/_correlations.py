"""Sums the squared off-diagonal entries of Z_u^T Z_v, from D x D or from N x N matrices.

    sum_ij (Z_u^T Z_v)_ij^2 = tr(Z_u Z_u^T Z_v Z_v^T) = <K_u, K_v>,    K = Z Z^T of N x N

and the diagonal, sum_n u_nd v_nd, costs N D. The gradient with respect to Z_u is 2 K_v Z_u, one
product. Automatic differentiation of Z Z^T takes two (rows and columns of K), hence the rules
below. Each function returns the shard's share, to be summed over the shards. The tangents are
shares too, so that one rule serves one device, ``shard_map`` and ``pmap``.
"""

import functools

import jax
import jax.numpy as jnp
from jax import Array

from jax_bt import stats
from jax_bt.losses import _cost

Pairs = tuple[tuple[int, int], ...]


def correlations(
    views: tuple[Array, ...],
    pairs: Pairs,
    *,
    scale: float = 1.0,
    form: _cost.Form = "auto",
    axis_name: str | None = None,
    precision: str | None = "highest",
) -> tuple[Array, Array]:
    """Diagonals and squared off-diagonals of C = scale * Z_u^T Z_v over the global batch.

    Args:
      views: (n, D) local shards, float32 or float64, centred where C is a covariance.
      pairs: the pairs (u, v) of views; (u, u) is a view with itself.
      scale: 1 / N makes averages of the sums over the batch.
      form: "cross_correlation" (D x D), "gram" (N x N), "auto" (the cheaper, see ``_cost``).
      axis_name: mapped axis, or None.
      precision: of the matrix products (``jax.lax.Precision``).

    Returns:
      ((len(pairs), D) diagonals, sum over pairs of sum_{i != j} C_ij^2), the same on
      every shard.
    """
    if form == "auto":
        shards, (rows, width) = stats.axis_size(axis_name), views[0].shape
        own = sum(u == v for u, v in pairs)
        form = _cost.choose(
            rows * shards,
            width,
            axis_size=shards,
            cross=len(pairs) - own,
            own=own,
            views=len(views),
        )
    diagonal = jnp.stack([jnp.sum(views[u] * views[v], axis=0) for u, v in pairs])
    diagonal = stats.all_sum(diagonal, axis_name) * scale
    options = (pairs, axis_name, precision)
    if form == "cross_correlation":
        return diagonal, stats.all_sum(_from_correlations(*options, views), axis_name) * scale**2
    total = stats.all_sum(_from_grams(*options, views), axis_name) * scale**2
    off = total - jnp.sum(jnp.square(diagonal))
    # Rounding may leave the value below zero: clip it, and leave the gradient unchanged.
    return diagonal, off + jax.lax.stop_gradient(jnp.maximum(off, 0) - off)


def _dot(x, y):
    """<x, y>: elementwise, as ``vdot`` would be one more product of the device's precision."""
    return jnp.sum(x * y)


@functools.partial(jax.custom_jvp, nondiff_argnums=(0, 1, 2))
def _from_grams(pairs, axis_name, precision, views):
    """This shard's rows of sum_{u,v} <K_u, K_v>, diagonal included."""
    grams, _ = _grams(axis_name, precision, views)
    return sum(_dot(grams[u], grams[v]) for u, v in pairs)


@_from_grams.defjvp
def _from_grams_jvp(pairs, axis_name, precision, primals, tangents):
    (views,), (slopes,) = primals, tangents
    grams, gathered = _grams(axis_name, precision, views)
    tangent = jnp.zeros((), views[0].dtype)
    for w, slope in enumerate(slopes):
        # d<K_u, K_v> = 2 <K_v Z_u, dZ_u> + 2 <K_u Z_v, dZ_v>
        partners = [v for u, v in pairs if u == w] + [u for u, v in pairs if v == w]
        if partners:
            weight = sum(grams[p] for p in partners)
            tangent += _dot(jnp.matmul(weight, gathered[w], precision=precision), slope)
    return sum(_dot(grams[u], grams[v]) for u, v in pairs), 2 * tangent


def _grams(axis_name, precision, views):
    """The shard's rows of each K = Z Z^T, (n, N), and each Z gathered, (N, D)."""
    gathered = [stats.all_gather(view, axis_name=axis_name) for view in views]
    grams = [
        jnp.matmul(view, whole.T, precision=precision)
        for view, whole in zip(views, gathered, strict=True)
    ]
    return grams, gathered


@functools.partial(jax.custom_jvp, nondiff_argnums=(0, 1, 2))
def _from_correlations(pairs, axis_name, precision, views):
    """This shard's share of the sum of squares of the D x D matrices off their diagonals."""
    shares = [_correlation(axis_name, precision, views[u], views[v])[0] for u, v in pairs]
    return sum(shares)


@_from_correlations.defjvp
def _from_correlations_jvp(pairs, axis_name, precision, primals, tangents):
    (views,), (slopes,) = primals, tangents
    value, tangent = 0, jnp.zeros((), views[0].dtype)
    multiply = functools.partial(jnp.matmul, precision=precision)
    for u, v in pairs:
        share, c = _correlation(axis_name, precision, views[u], views[v])
        value += share
        if u == v:  # c is symmetric: both halves of the gradient are the same product
            tangent += 4 * _dot(multiply(views[u], c), slopes[u])
        else:
            tangent += 2 * _dot(multiply(views[v], c.T), slopes[u])
            tangent += 2 * _dot(multiply(views[u], c), slopes[v])
    return value, tangent


def _correlation(axis_name, precision, z_u, z_v):
    """The shard's share of ||C||^2 and the whole C = Z_u^T Z_v, both without the diagonal."""
    c = jnp.matmul(z_u.T, z_v, precision=precision)
    if _cost.scattered(c.shape[0], stats.axis_size(axis_name)):
        rows = stats.scatter_sum(c, axis_name)
        first = stats.shard_index(axis_name) * rows.shape[0]
        rows = _without_diagonal(rows, first)
        return _dot(rows, rows), stats.all_gather(rows, axis_name=axis_name)
    whole = _without_diagonal(stats.all_sum(c, axis_name), 0)
    # Over the shards, <local C, whole C> sums to ||whole C||^2.
    return _dot(whole if axis_name is None else c, whole), whole


def _without_diagonal(rows, first):
    """``rows`` of a matrix from row ``first`` on, with zeros on the matrix's diagonal."""
    row = jax.lax.broadcasted_iota(jnp.int32, rows.shape, 0) + first
    return jnp.where(row == jax.lax.broadcasted_iota(jnp.int32, rows.shape, 1), 0, rows)
