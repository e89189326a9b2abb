"""TiCo: views that agree, along directions in which past batches varied little."""

from typing import Annotated, Literal, NamedTuple, get_args

import jax.numpy as jnp
from jax import Array, lax

from jax_bt import stats
from jax_bt.losses import _checks
from jax_bt.losses._explicit_mesh import on_any_mesh

Convention = Literal["lightly", "sayannag"]


class TiCo(NamedTuple):
    """Value of ``tico``, its terms, and the state that the next step takes.

    Attributes:
      loss: invariance + rho * contrast.
      invariance: 1 - mean cosine of the views; without the 1 in the convention "sayannag".
      contrast: mean_n z_n^T C z_n, unweighted.
      C: (D, D), without gradient: give it to the next step.
    """

    loss: Array
    invariance: Array
    contrast: Array
    C: Array


@on_any_mesh
def tico(
    z_a: Array,
    z_b: Array,
    C: Annotated[Array, "D D"] | None = None,
    *,
    rho: float | Array = 8.0,
    beta: float | Array = 0.9,
    convention: Convention = "lightly",
    axis_name: str | None = None,
    precision: str | None = "highest",
) -> TiCo:
    """TiCo loss of the global batch and the updated average of its second moments.

        C_new = beta C + (1 - beta) za^T za / N
        loss = 1 - mean_n za_n.zb_n + rho mean_n za_n^T C_new za_n

    with rows of unit length.

    Args:
      z_a: (n, D) embeddings, any floating dtype; normalised here. The local shard under
        ``axis_name``, else the whole batch.
      z_b: (n, D) of the other view by the momentum network; normalised here, no gradient.
      C: (D, D) the average that the last step returned, replicated; None at the start, for zeros.
      rho: weight of the contrast: 8 in lightly, 20 in stable-pretraining.
      beta: weight of the old average.
      convention: "lightly" holds the batch's own za^T za fixed in the gradient. "sayannag" (TiCo-
        pytorch) takes the gradient through it, and leaves out the constant 1.
      axis_name: mapped axis of ``shard_map`` or ``pmap``; None on one device or under ``jit``.
      precision: of the products (``jax.lax.Precision``). The default is full float32.

    Returns:
      ``TiCo``: float32 (float64 for float64 input), the same on every shard.

    Raises:
      ValueError: shapes that do not match, arguments that are not floating, or an unknown
        convention.

    Example:
      >>> import jax.numpy as jnp
      >>> from jax_bt import losses
      >>> z = jnp.array([[1.0, 1.0], [1.0, -1.0], [-1.0, 1.0], [-1.0, -1.0]])
      >>> print(f"{losses.tico(z, z).loss:.4f}")  # C = I / 20: 8 / 20
      0.4000

    Reference: Zhu et al., TiCo: Transformation Invariance and Covariance Contrast for
      Self-Supervised Visual Representation Learning, 2022, https://arxiv.org/abs/2206.10698
    """
    _checks.precision(precision)
    _checks.one_of("convention", convention, get_args(Convention))
    z_a, z_b = _checks.embeddings(z_a=z_a, z_b=z_b, axis_name=axis_name)
    width = z_a.shape[1]
    C = jnp.zeros((width, width), z_a.dtype) if C is None else _checks.floating("C", C, "D D")
    if C.shape != (width, width):
        raise ValueError(f"C has shape {C.shape}: expected (D, D) of the embeddings' D={width}")
    z_a, z_b = stats.l2_normalize(z_a), lax.stop_gradient(stats.l2_normalize(z_b))

    held = z_a if convention == "sayannag" else lax.stop_gradient(z_a)
    moment = stats.all_mean(jnp.matmul(held.T, held, precision=precision), axis_name)
    C = beta * C + (1 - beta) * moment / len(held)
    contrast = jnp.sum(z_a * jnp.matmul(z_a, C, precision=precision), axis=1)
    contrast = stats.mean(contrast, axis_name=axis_name)
    invariance = -stats.mean(jnp.sum(z_a * z_b, axis=1), axis_name=axis_name)
    if convention == "lightly":
        invariance = invariance + 1
    return TiCo(invariance + rho * contrast, invariance, contrast, lax.stop_gradient(C))
