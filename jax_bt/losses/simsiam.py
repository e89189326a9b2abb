"""SimSiam draws each view's prediction to the other view's projection, which has no gradient."""

from typing import NamedTuple

from jax import Array, lax

from jax_bt import stats
from jax_bt.losses._checks import embeddings
from jax_bt.losses._cosine import cosine
from jax_bt.losses._explicit_mesh import on_any_mesh


class SimSiam(NamedTuple):
    """The value of ``simsiam``."""

    loss: Array


@on_any_mesh
def simsiam(
    p_a: Array, p_b: Array, z_a: Array, z_b: Array, *, axis_name: str | None = None
) -> SimSiam:
    """SimSiam's negative cosine similarity, the mean of both directions, in [-1, 1].

        loss = -1/2 mean_n cos(p_a, sg(z_b)) - 1/2 mean_n cos(p_b, sg(z_a)),   sg = no gradient

    Args:
      p_a: predictions of view a, (N, D), any floating dtype.
      p_b: the same of view b.
      z_a: projections of view a, (N, D); no gradient flows through them here.
      z_b: the same of view b.
      axis_name: mapped axis over which the rows are sharded, or None.

    Returns:
      SimSiam with ``loss``, a scalar of the global batch, float32 (float64 for float64 input).

    Raises:
      ValueError: an argument is not floating, not (N, D), or unlike the others in shape.

    Example:
      >>> import jax.numpy as jnp
      >>> from jax_bt import losses
      >>> z = jnp.eye(4)
      >>> print(f"{losses.simsiam(z, z, z, z).loss:.4f}")
      -1.0000

    Reference:
      Chen and He, Exploring Simple Siamese Representation Learning, CVPR 2021, eq. 4.
      arXiv:2011.10566
    """
    p_a, p_b, z_a, z_b = embeddings(p_a=p_a, p_b=p_b, z_a=z_a, z_b=z_b)
    agreement = cosine(p_a, lax.stop_gradient(z_b)) + cosine(p_b, lax.stop_gradient(z_a))
    return SimSiam(-stats.mean(agreement, axis_name=axis_name) / 2)
