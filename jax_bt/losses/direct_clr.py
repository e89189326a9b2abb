"""DirectCLR compares the leading features of the representation itself, without a projector."""

from typing import NamedTuple

from jax import Array, lax

from jax_bt import stats
from jax_bt.losses._checks import embeddings, positive
from jax_bt.losses._cosine import log_share_of_own_key
from jax_bt.losses._explicit_mesh import on_any_mesh


class DirectCLR(NamedTuple):
    """The value of ``direct_clr``: its two directions have equal weight."""

    loss: Array
    loss_ab: Array
    loss_ba: Array


@on_any_mesh
def direct_clr(
    r_a: Array,
    r_b: Array,
    *,
    dimensions: int | None = None,
    temperature: float | Array = 0.1,
    axis_name: str | None = None,
    precision: lax.PrecisionLike = "highest",
) -> DirectCLR:
    """InfoNCE of the first features; negatives are the OTHER view of the other examples.

        loss_ab = -mean_n log( exp(a_n.b_n / T) / sum_m exp(a_n.b_m / T) ),
        loss = (loss_ab + loss_ba) / 2

    with a and b the first ``dimensions`` features at unit length, m over the global batch.
    lightly's DirectCLRLoss is NT-Xent of the same features: ``nt_xent(r_a[:, :d], r_b[:, :d])``.

    Args:
      r_a: representations of view a, (N, D), any floating dtype; normalised here.
      r_b: the same of view b.
      dimensions: d, how many features are compared; 360 of 2048 in the paper; None for all, which
        is its baseline without a projector.
      temperature: T, dimensionless.
      axis_name: mapped axis over which the rows are sharded, or None; the compared features are
        gathered over it.
      precision: of the (N, d) x (d, N) products.

    Returns:
      DirectCLR of scalars of the global batch, float32 (float64 for float64 input).

    Raises:
      ValueError: an argument is not floating, not (N, D), or unlike the other in shape; the global
        batch has fewer than 2 examples; ``dimensions`` is not between 1 and D; the temperature is
        not positive.

    Example:
      >>> import jax.numpy as jnp
      >>> from jax_bt import losses
      >>> r = jnp.array([[1.0, 0.0, 5.0], [0.0, 1.0, 5.0]])  # the third feature is the same
      >>> print(f"{losses.direct_clr(r, r, dimensions=2, temperature=1.0).loss:.4f}")
      0.3133

    Reference:
      Jing et al., Understanding Dimensional Collapse in Contrastive Self-Supervised Learning, ICLR
      2022, section 6. arXiv:2110.09348
    """
    positive(temperature=temperature)
    r_a, r_b = embeddings(r_a=r_a, r_b=r_b, axis_name=axis_name, minimum=2)
    if dimensions is not None and not 1 <= dimensions <= r_a.shape[1]:
        raise ValueError(f"dimensions={dimensions} of representations of width {r_a.shape[1]}")
    a, b = r_a[:, :dimensions], r_b[:, :dimensions]
    loss_ab, loss_ba = (
        -stats.mean(
            log_share_of_own_key(q, k, temperature, axis_name, precision),
            axis=(0, 1),
            axis_name=axis_name,
        )
        for q, k in ((a, b), (b, a))
    )
    return DirectCLR((loss_ab + loss_ba) / 2, loss_ab, loss_ba)
