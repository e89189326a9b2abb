"""W-MSE draws whitened views together; whitening keeps the embeddings from collapsing."""

import itertools
from typing import Annotated, NamedTuple

import jax.numpy as jnp
from jax import Array, lax

from jax_bt import stats
from jax_bt.errors import UsageError
from jax_bt.losses._checks import embeddings
from jax_bt.losses._cosine import cosine
from jax_bt.losses._explicit_mesh import on_any_mesh
from jax_bt.losses._linalg import factor


class WMSE(NamedTuple):
    """The value of ``w_mse``."""

    loss: Array


@on_any_mesh
def w_mse(
    h_a: Array,
    h_b: Array,
    *extra: Array,
    permutation: Annotated[Array, "S W"] | None = None,
    whitening_size: int | None = None,
    eps: float = 0.0,
    normalize: bool = True,
    axis_name: str | None = None,
    precision: lax.PrecisionLike = "highest",
) -> WMSE:
    """Whitening MSE: the mean over all pairs of views, rows whitened in sub-batches.

        loss = mean_{views v < w} mean_n (2 - 2 cos(y_v[n], y_w[n])),   y = whiten(h)

    or, without ``normalize``, the mean over rows and dimensions of (y_v - y_w)^2. Every sub-batch
    of every view is whitened by its own mean and covariance (see ``whiten``).

    Args:
      h_a: head outputs of the first view, (N, D), any floating dtype.
      h_b: the same of the second view.
      *extra: further views (W-MSE 4 has four): the loss is the mean over all pairs.
      permutation: rows of the GLOBAL batch in sub-batches, integers of shape (N/w, w), the same on
        every device; or (iterations, N/w, w) for the mean over several draws. None takes the rows
        in their order, which suits shuffled batches; the result depends on which examples share a
        sub-batch.
      whitening_size: rows w whitened together; None is ``permutation``'s, or else twice the width
        as in the paper (128 for 64, 256 for 128) or the least number above that divides the batch.
      eps: shrinkage of the covariance towards the identity, in [0, 1).
      normalize: rows to unit length after whitening.
      axis_name: mapped axis over which the rows are sharded, or None. The embeddings are gathered
        over it, unless each device's rows hold whole sub-batches; sub-batches are shared out among
        the devices where their number allows.
      precision: of the products, in float32 whatever the input.

    Returns:
      WMSE with ``loss``, a scalar of the global batch, float32 (float64 for float64 input).

    Raises:
      ValueError: an argument is not floating, not (N, D), or unlike the others in shape; the
        whitening size is not above D (the covariance would be singular) or does not divide the
        global batch; ``permutation`` does not fit; eps is outside [0, 1).

    Example:
      >>> import jax.numpy as jnp
      >>> from jax_bt import losses
      >>> h = jnp.array([[1.0, 1.0], [1.0, -1.0], [-1.0, 1.0], [-1.0, -1.0]])
      >>> bool(losses.w_mse(h, 2 * h + 1).loss < 1e-5)  # whitening undoes scale and shift
      True

    Reference:
      Ermolov et al., Whitening for Self-Supervised Representation Learning, ICML 2021.
      arXiv:2007.06346
    """
    named = {"h_a": h_a, "h_b": h_b} | {f"extra[{i}]": h for i, h in enumerate(extra)}
    views = jnp.stack(embeddings(axis_name=None, minimum=1, same_width=True, **named))
    local, width = views.shape[1:]
    shards = stats.axis_size(axis_name)
    size = _whitening_size(local * shards, width, permutation, whitening_size)
    if not 0 <= eps < 1:
        raise UsageError(f"eps={eps} must be in [0, 1)")

    if permutation is None and local % size == 0:
        groups = views.reshape(len(views), -1, size, width)  # whole sub-batches on every device
    else:
        views = stats.all_gather(views, axis=1, axis_name=axis_name)
        rows = (
            jnp.arange(local * shards)
            if permutation is None
            else jnp.asarray(permutation, jnp.int32)
        )
        rows = rows.reshape(-1, size)
        if len(rows) % shards == 0:
            share = len(rows) // shards
            first = stats.shard_index(axis_name) * share
            rows = lax.dynamic_slice_in_dim(rows, first, share)
        groups = views[:, rows]
    y = whiten(groups, eps=eps, precision=precision)
    pairs = list(itertools.combinations(range(len(views)), 2))
    first, second = (y[jnp.array(side)] for side in zip(*pairs, strict=True))
    if normalize:
        loss = 2 - 2 * jnp.mean(cosine(first, second))
    else:
        loss = jnp.mean(jnp.square(first - second))
    return WMSE(stats.all_mean(loss, axis_name))


def whiten(h: Array, *, eps: float = 0.0, precision: lax.PrecisionLike = "highest") -> Array:
    """Rows with mean 0 and covariance I, by the Cholesky factor of their covariance.

        y = (h - mean) L^-T,   L L^T = (1 - eps) C + eps I,   C = covariance with N - 1

    Args:
      h: (..., N, D), float32 or float64; leading axes are separate batches.
      eps: shrinkage towards the identity.
      precision: of the products.

    Returns:
      Array of h's shape. Where the covariance is singular to rounding (a constant or repeated
      column) it is shrunk just enough for a finite result and gradient.
    """
    count, width = h.shape[-2:]
    h = h - jnp.mean(h, axis=-2, keepdims=True)
    c = jnp.einsum("...nd,...ne->...de", h, h, precision=precision) / (count - 1)
    lower = factor((1 - eps) * c + eps * jnp.eye(width, dtype=h.dtype))
    return lax.linalg.triangular_solve(lower, h, lower=True, transpose_a=True)


def _whitening_size(
    count: int, width: int, permutation: Array | None, whitening_size: int | None
) -> int:
    """The rows whitened together, checked against batch and permutation."""
    size = whitening_size
    if permutation is not None:
        shape = jnp.shape(permutation)
        if not jnp.issubdtype(jnp.result_type(permutation), jnp.integer):
            raise ValueError(f"permutation is {jnp.result_type(permutation)}: expected integers")
        if len(shape) not in (2, 3) or shape[-1] * shape[-2] != count:
            raise ValueError(
                f"permutation has shape {shape}: expected (N/w, w) or (iterations, N/w, w) "
                f"covering the global batch of N={count}"
            )
        size = shape[-1] if size is None else size
        if size != shape[-1]:
            raise ValueError(
                f"whitening_size={size} but permutation has sub-batches of {shape[-1]}: "
                "give one of the two, or equal ones"
            )
    if size is None:
        size = next((w for w in range(2 * width, count) if count % w == 0), count)
    if size <= width:
        raise UsageError(
            f"whitening_size={size} must be above the embedding width D={width}: "
            "the covariance of fewer rows is singular (2 D is the paper's choice)"
        )
    if count % size:
        fitting = next((s for s in range(2 * width, width, -1) if count % s == 0), None)
        remedy = f"{fitting} does" if fitting else f"use a batch that is a multiple of {2 * width}"
        raise UsageError(
            f"whitening_size={size} must divide the global batch of N={count}: {remedy}"
        )
    return size
