"""NT-Xent (SimCLR) finds the other view of each example among all examples of both views."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array, lax

from jax_bt import stats
from jax_bt.losses._checks import embeddings, positive
from jax_bt.losses._explicit_mesh import on_any_mesh


class NTXent(NamedTuple):
    """The value of ``nt_xent``."""

    loss: Array


@on_any_mesh
def nt_xent(
    z_a: Array,
    z_b: Array,
    *,
    temperature: float | Array = 0.5,
    axis_name: str | None = None,
    precision: lax.PrecisionLike = "highest",
) -> NTXent:
    """SimCLR's normalised, temperature-scaled cross-entropy: the mean over all 2N anchors.

        loss = -1/(2N) sum_i log( exp(s(i, p(i)) / T) / sum_{j != i} exp(s(i, j) / T) )

    with i and j over the 2N rows of both views, s the cosine similarity and p(i) the other view of
    i's example. The SimCLR code itself sums the two views' means: twice this value.

    Args:
      z_a: projections of view a, (N, D), any floating dtype; normalised here.
      z_b: the same of view b.
      temperature: T, dimensionless.
      axis_name: mapped axis over which the rows are sharded, or None. Embeddings are gathered over
        it: each device compares its 2N/W anchors with all 2N rows.
      precision: of the (2N, D) x (D, 2N) product.

    Returns:
      NTXent with ``loss``, a scalar of the global batch, float32 (float64 for float64 input).

    Raises:
      ValueError: an argument is not floating, not (N, D), or unlike the other in shape; the global
        batch has fewer than 2 examples; the temperature is not positive.

    Example:
      >>> import jax.numpy as jnp
      >>> from jax_bt import losses
      >>> z = jnp.eye(2)
      >>> print(f"{losses.nt_xent(z, z, temperature=0.5).loss:.4f}")  # log(1 + 2 exp(-2))
      0.2395

    Reference:
      Chen et al., A Simple Framework for Contrastive Learning, ICML 2020, eq. 1. arXiv:2002.05709
    """
    positive(temperature=temperature)
    z_a, z_b = embeddings(z_a=z_a, z_b=z_b, axis_name=axis_name, minimum=2)
    local = z_a.shape[0]
    count = local * stats.axis_size(axis_name)

    views = jnp.stack([stats.l2_normalize(z_a), stats.l2_normalize(z_b)])
    anchors = views.reshape(2 * local, -1)
    others = stats.all_gather(views, axis=1, axis_name=axis_name).reshape(2 * count, -1)
    logits = jnp.matmul(anchors, others.T, precision=precision) / temperature

    row = stats.shard_index(axis_name) * local + jnp.arange(local)
    itself = jnp.concatenate([row, row + count])[:, None]
    other_view = jnp.concatenate([row + count, row])[:, None]
    # -inf, not the reference's -1e9, which float16 cannot hold; log_softmax of it is exact, and its
    # gradient zero, since each row keeps 2N - 1 >= 3 finite entries.
    logits = jnp.where(jnp.arange(2 * count) == itself, -jnp.inf, logits)
    log_p = jnp.take_along_axis(jax.nn.log_softmax(logits, axis=1), other_view, axis=1)
    return NTXent(-stats.mean(log_p, axis=(0, 1), axis_name=axis_name))
