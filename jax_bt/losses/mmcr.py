"""MMCR: the centroids of the examples' views, spread by their nuclear norm."""

from collections.abc import Sequence
from functools import partial
from typing import Literal, NamedTuple, get_args

import jax.numpy as jnp
from jax import Array, lax

from jax_bt import stats
from jax_bt.losses import _checks
from jax_bt.losses._explicit_mesh import on_any_mesh
from jax_bt.losses._views import stacked

Convention = Literal["author", "author_momentum", "lightly", "lightly_raw"]


class MMCR(NamedTuple):
    """Value of ``mmcr`` and its terms, which are unweighted.

    Attributes:
      loss: lam * local_nuc - global_nuc.
      global_nuc: nuclear norm of the centroids, for unit rows at most sqrt(N min(N, D)).
      local_nuc: mean over examples of the nuclear norm of an example's views; 0 where lam is 0.
    """

    loss: Array
    global_nuc: Array
    local_nuc: Array


@on_any_mesh
def mmcr(
    z_a: Array,
    z_b: Array,
    *more: Array,
    z_momentum: Sequence[Array] | None = None,
    lam: float | Array = 0.0,
    convention: Convention = "author",
    axis_name: str | None = None,
    precision: str | None = "highest",
) -> MMCR:
    """Maximum manifold capacity: nuclear norms of the global batch's centroids.

        loss = lam / N sum_n ||Z_n||_* - ||C||_*

    Z_n are the k unit views of example n, (k, D), and row n of C is their mean. The norm of C and
    its gradient C (C^T C)^(-1/2) come from the eigenvectors of the smaller of C^T C and C C^T.

    Args:
      z_a: (n, D) embeddings of the first view, any floating dtype: the local shard under
        ``axis_name``, else the whole batch.
      z_b: (n, D) of the second view, row by row of the same examples.
      *more: (n, D) of further views.
      z_momentum: the same views through the momentum network, each (n, D), without gradient: the
        centroids are then the mean of both networks'.
      lam: weight of the local term.
      convention: "author", with ``z_momentum`` also called "author_momentum": rows of unit length,
        Z_n the online views. "lightly": Z_n the online and the momentum views. "lightly_raw": as
        lightly on rows as they are, which the caller is to scale.
      axis_name: mapped axis of ``shard_map`` or ``pmap``; None on one device or under ``jit``.
      precision: of the large products (``jax.lax.Precision``). The default is full float32.

    Returns:
      ``MMCR``: float32 scalars (float64 for float64 input), the same on every shard.

    Raises:
      ValueError: shapes that do not match, embeddings that are not floating, or an unknown
        convention.

    Example:
      >>> import jax.numpy as jnp
      >>> from jax_bt import losses
      >>> z = jnp.array([[1.0, 1.0], [1.0, -1.0], [-1.0, 1.0], [-1.0, -1.0]])
      >>> print(f"{losses.mmcr(z, z).loss:.4f}")  # both singular values are sqrt(2)
      -2.8284

    Reference: Yerxa et al., Learning Efficient Coding of Natural Images with Maximum Manifold
      Capacity Representations, NeurIPS 2023, https://arxiv.org/abs/2303.03307
    """
    _checks.precision(precision)
    _checks.one_of("convention", convention, get_args(Convention))
    views = stacked(z_a, z_b, *more, axis_name=axis_name)
    momentum = jnp.zeros((0, *views.shape[1:]), views.dtype)
    if z_momentum is not None:
        named = {f"z_momentum[{i}]": z for i, z in enumerate(z_momentum)}
        _, *held = _checks.embeddings(axis_name=None, minimum=1, same_width=True, z_a=z_a, **named)
        momentum = lax.stop_gradient(jnp.stack(held))
    if convention != "lightly_raw":
        views, momentum = stats.l2_normalize(views), stats.l2_normalize(momentum)
    centroids = jnp.mean(views, axis=0)
    if len(momentum):
        centroids = (centroids + jnp.mean(momentum, axis=0)) / 2
    global_nuc = _nuclear_norm(centroids, axis_name, precision)

    local_nuc = jnp.zeros_like(global_nuc)
    if not (isinstance(lam, int | float) and lam == 0):
        if convention.startswith("lightly"):
            views = jnp.concatenate([views, momentum])
        examples = jnp.swapaxes(views, 0, 1)
        local_nuc = stats.mean(_nuclear_norm(examples, None, precision), axis_name=axis_name)
    return MMCR(lam * local_nuc - global_nuc, global_nuc, local_nuc)


def _nuclear_norm(z, axis_name, precision):
    """Sum of the singular values of each matrix (..., N, D), of which N is sharded.

    It equals <z W, z> with W = (z^T z)^(-1/2), and z W is also its gradient: with z W held fixed
    the product has both, and nothing is differentiated through eigenvectors.
    """
    held = lax.stop_gradient(z)
    multiply = partial(jnp.matmul, precision=precision)
    rows, width = z.shape[-2:]
    if rows * stats.axis_size(axis_name) < width:  # z (z^T z)^(-1/2) = (z z^T)^(-1/2) z
        whole = stats.all_gather(held, axis=z.ndim - 2, axis_name=axis_name)
        gram = stats.all_gather(multiply(held, whole.mT), axis=z.ndim - 2, axis_name=axis_name)
        first = stats.shard_index(axis_name) * rows
        mine = lax.dynamic_slice_in_dim(_inverse_root(gram), first, rows, axis=-2)
        direction = multiply(mine, whole)
    else:
        gram = stats.all_sum(multiply(held.mT, held), axis_name)
        direction = multiply(held, _inverse_root(gram))
    return stats.all_sum(jnp.sum(direction * z, axis=(-2, -1)), axis_name)


def _inverse_root(gram):
    """Inverse square root of symmetric matrices on the span of what is above their rounding."""
    values, vectors = jnp.linalg.eigh(gram)
    rounding = 8 * jnp.finfo(gram.dtype).eps * values[..., -1:]
    roots = stats.inverse_sqrt(jnp.where(values > rounding, values, 0))
    return jnp.matmul(vectors * roots[..., None, :], vectors.mT, precision="highest")
