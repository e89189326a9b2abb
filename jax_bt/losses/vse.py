"""VSE++ keeps each pair closer than the hardest other example of the batch, by a margin."""

from typing import NamedTuple

import jax.numpy as jnp
from jax import Array, lax

from jax_bt import stats
from jax_bt.losses._checks import embeddings, positive
from jax_bt.losses._explicit_mesh import on_any_mesh


class VSE(NamedTuple):
    """The value of ``vse``: the sum of its two directions."""

    loss: Array
    loss_ab: Array
    loss_ba: Array


@on_any_mesh
def vse(
    z_a: Array,
    z_b: Array,
    *,
    margin: float | Array = 0.2,
    hardest: bool = True,
    axis_name: str | None = None,
    precision: lax.PrecisionLike = "highest",
) -> VSE:
    """Hinge loss of cosine similarities, summed over the global batch.

        loss_ab = sum_n max_{m != n} max(0, margin - a_n.b_n + a_n.b_m),
        loss_ba = sum_n max_{m != n} max(0, margin - a_n.b_n + a_m.b_n),
        loss = loss_ab + loss_ba

    with rows at unit length. ``hardest=False`` sums over m in place of the outer maximum (VSE0).
    The sum over the batch, not the mean, is the reference's; its learning rate goes with it.

    Args:
      z_a: embeddings of view a, such as images, (N, D), any floating dtype; normalised here.
      z_b: the same of view b, such as captions.
      margin: above 0, dimensionless.
      hardest: take the hardest negative of the batch alone.
      axis_name: mapped axis over which the rows are sharded, or None; both views are gathered over
        it.
      precision: of the (N, D) x (D, N) products.

    Returns:
      VSE of scalars of the global batch, float32 (float64 for float64 input).

    Raises:
      ValueError: an argument is not floating, not (N, D), or unlike the other in shape; the global
        batch has fewer than 2 examples; the margin is not positive.

    Example:
      >>> import jax.numpy as jnp
      >>> from jax_bt import losses
      >>> z = jnp.eye(2)
      >>> print(f"{losses.vse(z, z[::-1]).loss:.1f}")  # 2 x 2 times 0.2 - 0 + 1
      4.8

    Reference:
      Faghri et al., VSE++: Improving Visual-Semantic Embeddings with Hard Negatives, BMVC 2018,
      https://arxiv.org/abs/1707.05612; its code's ContrastiveLoss
    """
    positive(margin=margin)
    z_a, z_b = embeddings(z_a=z_a, z_b=z_b, axis_name=axis_name, minimum=2)
    a, b = stats.l2_normalize(z_a), stats.l2_normalize(z_b)
    own = jnp.sum(a * b, axis=1, keepdims=True)
    row = stats.shard_index(axis_name) * a.shape[0] + jnp.arange(a.shape[0])[:, None]

    def direction(query: Array, others: Array) -> Array:
        others = stats.all_gather(others, axis_name=axis_name)
        scores = jnp.matmul(query, others.T, precision=precision)
        costs = jnp.maximum(margin - own + scores, 0)
        costs = jnp.where(jnp.arange(others.shape[0]) == row, 0, costs)
        each = jnp.max(costs, axis=1) if hardest else jnp.sum(costs, axis=1)
        return stats.all_sum(jnp.sum(each), axis_name)

    loss_ab, loss_ba = direction(a, b), direction(b, a)
    return VSE(loss_ab + loss_ba, loss_ab, loss_ba)
