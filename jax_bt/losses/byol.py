"""BYOL draws each view's prediction to the target network's projection of the other view."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array, lax

from jax_bt import stats
from jax_bt.losses._checks import embeddings, positive
from jax_bt.losses._cosine import cosine
from jax_bt.losses._explicit_mesh import on_any_mesh


class BYOL(NamedTuple):
    """The value of ``byol``."""

    loss: Array


@on_any_mesh
def byol(
    p_a: Array,
    p_b: Array,
    t_a: Array,
    t_b: Array,
    *,
    beta: float = 0.0,
    temperature: float | Array = 0.1,
    axis_name: str | None = None,
    precision: lax.PrecisionLike = "highest",
) -> BYOL:
    """BYOL's regression loss, the sum of both directions, in [0, 8]; negatives if asked for.

        loss = mean_n |u(p_a) - u(t_b)|^2 + mean_n |u(p_b) - u(t_a)|^2
             = mean_n (2 - 2 cos(p_a, t_b)) + mean_n (2 - 2 cos(p_b, t_a)),   u(x) = x / |x|

    With ``beta`` the paper's way from BYOL to a contrastive loss (its section 5): to each direction
    is added, here to the one of p_a,

        2 beta T mean_n log( sum_{m != n} exp(cos(p_a_n, t_a_m) / T)
                             + sum_m exp(cos(p_a_n, t_b_m) / T) )

    With beta 1, p = t and gradients through t it would be 4 + 4 T ``nt_xent``.

    Args:
      p_a: predictions of view a by the online network, (N, D), any floating dtype.
      p_b: the same of view b.
      t_a: projections of view a by the target network, (N, D); they receive no gradient.
      t_b: the same of view b.
      beta: weight of the negatives, a Python number; 0 for BYOL itself.
      temperature: T of the negatives, dimensionless.
      axis_name: mapped axis over which the rows are sharded, or None. With ``beta`` the targets are
        gathered over it.
      precision: of the (N, D) x (D, 2N) products of the negatives.

    Returns:
      BYOL with ``loss``, a scalar of the global batch, float32 (float64 for float64 input).

    Raises:
      ValueError: an argument is not floating, not (N, D), or unlike the others in shape; the
        temperature is not positive.

    Example:
      >>> import jax.numpy as jnp
      >>> from jax_bt import losses
      >>> z = jnp.eye(4)
      >>> print(f"{losses.byol(z, z, -z, -z).loss:.4f}")
      8.0000

    Reference:
      Grill et al., Bootstrap Your Own Latent, NeurIPS 2020, eq. 2 and the
      InfoNCE of section 5. arXiv:2006.07733
    """
    positive(temperature=temperature)
    p_a, p_b, t_a, t_b = embeddings(p_a=p_a, p_b=p_b, t_a=t_a, t_b=t_b)
    t_a, t_b = lax.stop_gradient((t_a, t_b))
    agreement = cosine(p_a, t_b) + cosine(p_b, t_a)
    loss = 4 - 2 * stats.mean(agreement, axis_name=axis_name)
    if not beta:
        return BYOL(loss)
    views = jnp.stack([stats.l2_normalize(t_a), stats.l2_normalize(t_b)])
    keys = stats.all_gather(views, axis=1, axis_name=axis_name)
    row = stats.shard_index(axis_name) * len(p_a) + jnp.arange(len(p_a))
    for own, p in enumerate((p_a, p_b)):
        logits = jnp.einsum("nd,vmd->nvm", stats.l2_normalize(p), keys, precision=precision)
        itself = (jnp.arange(keys.shape[1]) == row[:, None])[:, None] & (jnp.arange(2) == own)[
            :, None
        ]
        logits = jnp.where(itself, -jnp.inf, logits / temperature)
        negatives = jax.nn.logsumexp(logits, axis=(1, 2))
        loss += 2 * beta * temperature * stats.mean(negatives, axis_name=axis_name)
    return BYOL(loss)
