"""SwAV predicts from each crop the cluster codes of another, which Sinkhorn balances."""

from collections.abc import Sequence
from typing import Annotated, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array, lax

from jax_bt import stats
from jax_bt.losses._checks import floating, positive
from jax_bt.losses._explicit_mesh import on_any_mesh


class SwAV(NamedTuple):
    """The value of ``swav`` and the codes it was computed with."""

    loss: Array
    codes: Array


@on_any_mesh
def swav(
    scores: Annotated[Array, "C N K"],
    *,
    temperature: float | Array = 0.1,
    epsilon: float | Array = 0.05,
    iterations: int = 3,
    assigned: Sequence[int] = (0, 1),
    queue_scores: Annotated[Array, "A M K"] | None = None,
    axis_name: str | None = None,
) -> SwAV:
    """SwAV's swapped prediction: cross-entropy between one crop's codes and the other crops.

        loss = mean_{c in assigned} mean_{v != c} -mean_n sum_k codes[c, n, k] log p[v, n, k]
        p[v, n] = softmax(scores[v, n] / T),   codes[c] = sinkhorn(scores[c])

    Args:
      scores: dot products of unit embeddings with unit prototypes, (C crops, N, K prototypes), any
        floating dtype.
      temperature: T of the predictions, dimensionless.
      epsilon: entropy weight of Sinkhorn: small makes the codes sharp.
      iterations: Sinkhorn iterations, at least 1.
      assigned: the crops whose codes all others predict; the large ones.
      queue_scores: scores of stored embeddings of past batches, (len(assigned), M, K), to balance
        the codes over more examples than a small batch has; sharded like ``scores``, each device
        its own part. Only the batch's codes are used and returned.
      axis_name: mapped axis over which N (and M) is sharded, or None.

    Returns:
      SwAV: ``loss``, a scalar of the global batch, float32 (float64 for float64 input), and
      ``codes``, (len(assigned), N, K) without gradient; each row sums to 1.

    Raises:
      ValueError: scores are not floating or not (C, N, K) with C >= 2; ``assigned`` is empty, out
        of range or repeats a crop; queue_scores do not fit; an option is not positive.

    Example:
      >>> import jax.numpy as jnp
      >>> from jax_bt import losses
      >>> print(f"{losses.swav(jnp.zeros((2, 6, 3))).loss:.4f}")  # equal scores: log 3
      1.0986

    Reference:
      Caron et al., Unsupervised Learning of Visual Features by Contrasting Cluster Assignments,
      NeurIPS 2020, eq. 2 and algorithm 1. arXiv:2006.09882
    """
    positive(temperature=temperature, epsilon=epsilon, iterations=iterations)
    scores = floating("scores", scores, "C N K")
    crops, count, prototypes = scores.shape
    chosen = list(assigned)
    if crops < 2:
        raise ValueError("scores have 1 crop: SwAV predicts one crop from another, give at least 2")
    if not chosen or len(set(chosen)) < len(chosen) or not set(chosen) <= set(range(crops)):
        raise ValueError(f"assigned={tuple(chosen)} must name different crops among 0..{crops - 1}")

    to_assign = scores[jnp.array(chosen)]
    if queue_scores is not None:
        queue_scores = floating("queue_scores", queue_scores, "A M K")
        if queue_scores.shape[::2] != (len(chosen), prototypes):
            raise ValueError(
                f"queue_scores have shape {queue_scores.shape}: expected "
                f"({len(chosen)} assigned crops, M, {prototypes} prototypes)"
            )
        to_assign = jnp.concatenate([to_assign, queue_scores.astype(scores.dtype)], axis=1)
    codes = sinkhorn(to_assign, epsilon=epsilon, iterations=iterations, axis_name=axis_name)
    codes = codes[:, :count]

    log_p = jax.nn.log_softmax(scores / temperature, axis=-1)
    # Every assigned crop is predicted by all crops but itself.
    others = jnp.sum(log_p, axis=0) - log_p[jnp.array(chosen)]
    entropy = -jnp.sum(codes * others, axis=(0, 2)) / (len(chosen) * (crops - 1))
    return SwAV(stats.mean(entropy, axis_name=axis_name), codes)


def sinkhorn(
    scores: Array, *, epsilon: float | Array, iterations: int, axis_name: str | None = None
) -> Array:
    """Codes that use all prototypes equally: Sinkhorn-Knopp, in logarithms.

    Scales exp(scores / epsilon) by prototype to sum N/K over the batch, then by example to sum 1,
    ``iterations`` times. Only the prototypes' factors v need keeping: the examples' follow from
    them. In logarithms nothing under- or overflows however large scores / epsilon is, where the
    reference's exp(scores / epsilon) is infinite in float32 from a score of 4.4 at epsilon = 0.05.

    Args:
      scores: (..., N, K), float32 or float64; leading axes are separate problems.
      epsilon: entropy weight.
      iterations: at least 1.
      axis_name: mapped axis over which N is sharded, or None.

    Returns:
      (..., N, K) codes without gradient, rows summing to 1.
    """
    logits = lax.stop_gradient(scores) / epsilon
    # The total factors N/K and 1 are left out: a constant drops out of the rows' softmax.
    v = -stats.log_sum_exp(logits, axis=-2, axis_name=axis_name)[..., None, :]

    def iterate(_: int, v: Array) -> Array:
        rows = jax.nn.log_softmax(logits + v, axis=-1)
        return v - stats.log_sum_exp(rows, axis=-2, axis_name=axis_name)[..., None, :]

    v = lax.fori_loop(1, iterations, iterate, v)
    return jax.nn.softmax(logits + v, axis=-1)
