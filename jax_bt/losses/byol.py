"""BYOL draws each view's prediction to the target network's projection of the other view."""

from typing import NamedTuple

from jax import Array, lax

from jax_bt import stats
from jax_bt.losses._checks import embeddings
from jax_bt.losses._cosine import cosine
from jax_bt.losses._explicit_mesh import on_any_mesh


class BYOL(NamedTuple):
    """The value of ``byol``."""

    loss: Array


@on_any_mesh
def byol(p_a: Array, p_b: Array, t_a: Array, t_b: Array, *, axis_name: str | None = None) -> BYOL:
    """BYOL's regression loss, the sum of both directions, in [0, 8].

        loss = mean_n |u(p_a) - u(t_b)|^2 + mean_n |u(p_b) - u(t_a)|^2
             = mean_n (2 - 2 cos(p_a, t_b)) + mean_n (2 - 2 cos(p_b, t_a)),   u(x) = x / |x|

    Args:
      p_a: predictions of view a by the online network, (N, D), any floating dtype.
      p_b: the same of view b.
      t_a: projections of view a by the target network, (N, D); they receive no gradient.
      t_b: the same of view b.
      axis_name: mapped axis over which the rows are sharded, or None.

    Returns:
      BYOL with ``loss``, a scalar of the global batch, float32 (float64 for float64 input).

    Raises:
      ValueError: an argument is not floating, not (N, D), or unlike the others in shape.

    Example:
      >>> import jax.numpy as jnp
      >>> from jax_bt import losses
      >>> z = jnp.eye(4)
      >>> print(f"{losses.byol(z, z, -z, -z).loss:.4f}")
      8.0000

    Reference:
      Grill et al., Bootstrap Your Own Latent, NeurIPS 2020, eq. 2. arXiv:2006.07733
    """
    p_a, p_b, t_a, t_b = embeddings(p_a=p_a, p_b=p_b, t_a=t_a, t_b=t_b)
    agreement = cosine(p_a, lax.stop_gradient(t_b)) + cosine(p_b, lax.stop_gradient(t_a))
    return BYOL(4 - 2 * stats.mean(agreement, axis_name=axis_name))
