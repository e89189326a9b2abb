"""VICRegL: VICReg of the embeddings, and of vectors of feature maps matched between the views."""

import itertools
from typing import Annotated, Literal, NamedTuple

import jax.numpy as jnp
from jax import Array, lax

from jax_bt import stats
from jax_bt.errors import UsageError
from jax_bt.losses import _checks
from jax_bt.losses._explicit_mesh import on_any_mesh

Maps = Annotated[Array, "N H W C"]
Locations = Annotated[Array, "N H W L"]


class VICRegL(NamedTuple):
    """Value of ``vicregl`` and its terms, which are unweighted.

    Attributes:
      loss: alpha times the global part, and 1 - alpha times the local one.
      invariance: of the embeddings: mean over pairs of the mean squared difference.
      variance: mean over views and dimensions of max(0, 1 - std).
      covariance: mean over views of sum_{i != j} cov_ij^2 / D.
      local_invariance: the same of matched vectors of the maps, matches by feature and by location
        summed, both directions averaged, mean over pairs.
      local_variance: per position of the list of matches, mean over them.
      local_covariance: per position too.
    """

    loss: Array
    invariance: Array
    variance: Array
    covariance: Array
    local_invariance: Array
    local_variance: Array
    local_covariance: Array


@on_any_mesh
def vicregl(
    z_a: Array,
    z_b: Array,
    maps_a: Maps,
    maps_b: Maps,
    locations_a: Locations,
    locations_b: Locations,
    *more: tuple[Array, Array, Array],
    alpha: float | Array = 0.75,
    num_matches: tuple[int, int] = (20, 4),
    convention: Literal["author", "few", "lightly"] = "author",
    invariance_weight: float | Array = 25.0,
    variance_weight: float | Array = 25.0,
    covariance_weight: float | Array = 1.0,
    eps: float = 1e-4,
    axis_name: str | None = None,
    precision: lax.PrecisionLike = "highest",
) -> VICRegL:
    """VICRegL loss of the global batch.

        loss = alpha VICReg(z) + (1 - alpha) mean_{i in {a, b}, j != i} [ F(i, j) + P(i, j) ]
        F, P = (V(m_i, nearest in m_j) + V(m_j, nearest in m_i)) / 2
        V    = 25 mean (x - y)^2 + 25 mean_{k, c} [max(0, 1 - std x_kc) + max(0, 1 - std y_kc)] / 2
             + mean_k sum_{c != c'} [cov(x_k)^2 + cov(y_k)^2] / 2 C

    F matches each vector of a map with the nearest vector of the other view's map, P with the one
    whose place in the original image is nearest; P keeps the ``num_matches`` closest of each
    example. Position k of an example is its k-th match in the order of the map; variances and
    covariances of a position are those over the batch, by N - 1. VICReg(z) has the invariance of
    the same pairs of views, and the MEAN of the views' covariances (VICReg itself: their sum).

    Args:
      z_a: (n, D) embeddings of the first view, any floating dtype: the local shard under
        ``axis_name``, else the whole batch.
      z_b: (n, D) of the second view.
      maps_a: (n, h, w, C) embeddings of the positions of the first view.
      maps_b: (n, h', w', C) of the second.
      locations_a: (n, h, w, 2) centres of the positions, in any unit of the original image.
      locations_b: (n, h', w', 2) of the second.
      *more: (z, maps, locations) of further, smaller views; they are paired with the first two.
      alpha: weight of the global part; 1 leaves the maps out of the gradient.
      num_matches: most matches of the first and of the second direction of a pair.
      convention: "author": F keeps all positions, as its code does by default; "few": F keeps
        ``num_matches`` too; "lightly": so does F, and the matches are in order of their distance.
      invariance_weight: of both parts.
      variance_weight: of both parts.
      covariance_weight: of both parts.
      eps: added to variances under the root.
      axis_name: mapped axis of ``shard_map`` or ``pmap``; None on one device or under ``jit``.
      precision: of the products.

    Returns:
      ``VICRegL``: float32 scalars (float64 for float64 input), the same on every shard.

    Raises:
      ValueError: shapes that do not match, a global batch below 2, arrays that are not floating,
        or an unknown option.

    Example:
      >>> import jax.numpy as jnp
      >>> from jax_bt import losses
      >>> z, maps = jnp.array([[1.0], [-1.0]]), jnp.array([[[[1.0]]], [[[-1.0]]]])
      >>> place = jnp.zeros((2, 1, 1, 2))
      >>> print(f"{losses.vicregl(z, -z, maps, -maps, place, place, alpha=0.5).loss:.1f}")
      150.0

    Reference:
      Bardes, Ponce and LeCun, VICRegL, NeurIPS 2022, arXiv:2210.01571; main_vicregl.py of its code.
    """
    _checks.one_of("convention", convention, ("author", "few", "lightly"))
    if min(num_matches) < 1:
        raise UsageError(f"num_matches={num_matches} must be at least 1 each")
    z, maps, places = _checked(
        [(z_a, maps_a, locations_a), (z_b, maps_b, locations_b), *more], axis_name
    )
    pairs = [(i, j) for i, j in itertools.product((0, 1), range(len(z))) if i != j]

    whole = [_of_pair(z[i][:, None], z[j][:, None], eps, axis_name, precision) for i, j in pairs]
    each = [_spread(x[:, None], eps, axis_name, precision) for x in z]
    invariance = _mean([pair[0] for pair in whole])
    variance, covariance = (_mean(list(terms)) for terms in zip(*each, strict=True))

    few = (None, None) if convention == "author" else num_matches
    in_order = convention == "lightly"
    found = []
    for i, j in pairs:
        near = _distances(maps[i], maps[j], precision), _distances(places[i], places[j], precision)
        for distances, kept in zip(near, (few, num_matches), strict=True):
            for d, x, y, count in (
                (distances, maps[i], maps[j], kept[0]),
                (distances.swapaxes(1, 2), maps[j], maps[i], kept[1]),
            ):
                x, y = _matched(lax.stop_gradient(d), x, y, count, in_order)
                found.append(_of_pair(x, y, eps, axis_name, precision))
    # Two kinds of matches are summed, their two directions averaged.
    local = [2 * _mean(list(terms)) for terms in zip(*found, strict=True)]

    def weighted(inv: Array, var: Array, cov: Array) -> Array:
        return invariance_weight * inv + variance_weight * var + covariance_weight * cov

    loss = alpha * weighted(invariance, variance, covariance) + (1 - alpha) * weighted(*local)
    return VICRegL(loss, invariance, variance, covariance, *local)


def _checked(views: list[tuple[Array, Array, Array]], axis_name: str | None):
    """Embeddings (n, D), maps (n, k, C) and places (n, k, 2) of the views, widened."""
    names = ["_a", "_b", *(f" of view {i}" for i in range(2, len(views)))]
    given = {f"z{name}": z for name, (z, _, _) in zip(names, views, strict=True)}
    z = _checks.embeddings(axis_name=axis_name, minimum=2, same_width=True, **given)
    maps, places = [], []
    for name, (_, m, p) in zip(names, views, strict=True):
        m = _checks.floating(f"maps{name}", m, "N H W C")
        p = _checks.floating(f"locations{name}", p, "N H W L")
        if m.shape[0] != z[0].shape[0] or m.shape[:3] != p.shape[:3]:
            raise ValueError(
                f"maps{name} has shape {m.shape} and locations{name} {p.shape}: they must agree in "
                f"(N, H, W), N = {z[0].shape[0]} as for z_a"
            )
        maps.append(m.reshape(len(m), -1, m.shape[3]))
        places.append(p.reshape(len(p), -1, p.shape[3]))
    widths = {m.shape[2] for m in maps}
    if len(widths) > 1:
        raise ValueError(f"maps have {sorted(widths)} channels: they must be equal")
    return z, maps, places


def _distances(x: Array, y: Array, precision: lax.PrecisionLike) -> Array:
    """Squared distances of the positions of each example: (n, k, C), (n, l, C) -> (n, k, l)."""
    squares = jnp.sum(x * x, -1)[:, :, None] + jnp.sum(y * y, -1)[:, None]
    return squares - 2 * jnp.einsum("nkc,nlc->nkl", x, y, precision=precision)


def _matched(
    distances: Array, x: Array, y: Array, count: int | None, in_order: bool
) -> tuple[Array, Array]:
    """Vectors of ``x`` and the nearest of ``y`` to each, (n, count, C): the closest of an example.

    In the order of the map, or of their distances where ``in_order``.
    """
    count = min(count or x.shape[1], x.shape[1])
    nearest = jnp.argmin(distances, axis=2)
    if count == x.shape[1] and not in_order:
        return x, jnp.take_along_axis(y, nearest[:, :, None], axis=1)
    kept = jnp.argsort(jnp.min(distances, axis=2), axis=1)[:, :count]
    kept = kept if in_order else jnp.sort(kept, axis=1)
    chosen = jnp.take_along_axis(nearest, kept, axis=1)
    return (
        jnp.take_along_axis(x, kept[:, :, None], axis=1),
        jnp.take_along_axis(y, chosen[:, :, None], axis=1),
    )


def _of_pair(x: Array, y: Array, eps: float, axis_name: str | None, precision: lax.PrecisionLike):
    """Invariance, variance and covariance of matched (n, k, C), the two sides averaged."""
    invariance = stats.mean(jnp.square(x - y), (0, 1, 2), axis_name)
    sides = [_spread(side, eps, axis_name, precision) for side in (x, y)]
    return invariance, *(_mean(list(terms)) for terms in zip(*sides, strict=True))


def _spread(
    x: Array, eps: float, axis_name: str | None, precision: lax.PrecisionLike
) -> tuple[Array, Array]:
    """Variance and covariance terms of (n, k, C) over the batch, mean over positions."""
    degrees = x.shape[0] * stats.axis_size(axis_name) - 1
    x = x - stats.mean(x, axis_name=axis_name)
    products = jnp.einsum("nkc,nkd->kcd", x, x, precision=precision)
    covariances = stats.all_sum(products, axis_name) / degrees
    variances = jnp.diagonal(covariances, axis1=1, axis2=2)
    variance = jnp.mean(jnp.maximum(1 - jnp.sqrt(variances + eps), 0))
    off = jnp.where(jnp.eye(x.shape[2], dtype=bool), 0, covariances)
    return variance, jnp.mean(jnp.sum(jnp.square(off), axis=(1, 2))) / x.shape[2]


def _mean(values: list[Array]) -> Array:
    return jnp.mean(jnp.stack(values), axis=0)
