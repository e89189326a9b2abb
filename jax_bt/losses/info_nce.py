"""InfoNCE finds a query's key among a queue of past keys (MoCo v1, v2) or the batch's (v3)."""

from typing import Annotated, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array, lax

from jax_bt import stats
from jax_bt.losses._checks import embeddings, floating, positive
from jax_bt.losses._cosine import cosine, log_share_of_own_key
from jax_bt.losses._explicit_mesh import on_any_mesh


class InfoNCE(NamedTuple):
    """The value of ``info_nce`` and ``info_nce_in_batch``."""

    loss: Array


@on_any_mesh
def info_nce(
    q: Array,
    k: Array,
    queue: Annotated[Array, "D K"],
    *,
    temperature: float | Array = 0.07,
    axis_name: str | None = None,
    precision: lax.PrecisionLike = "highest",
) -> InfoNCE:
    """MoCo's contrastive loss: each query finds its key among the queue's negatives.

        loss = -mean_n log( exp(q.k / T) / (exp(q.k / T) + sum_j exp(q.queue_j / T)) )

    with q and k at unit length. MoCo v1 and v2 use T = 0.07 and 0.2.

    Args:
      q: queries, (N, D), any floating dtype; normalised here.
      k: keys of the momentum encoder, (N, D); normalised here, no gradient.
      queue: past keys as columns, (D, K); used as stored (the caller stores unit columns), no
        gradient. The same on every device.
      temperature: T, dimensionless.
      axis_name: mapped axis over which the rows of q and k are sharded, or None.
      precision: of the (N, D) x (D, K) product.

    Returns:
      InfoNCE with ``loss``, a scalar of the global batch, float32 (float64 for float64 input).

    Raises:
      ValueError: an argument is not floating, q and k differ in shape, the queue's first axis is
        not D, or the temperature is not positive.

    Example:
      >>> import jax.numpy as jnp
      >>> from jax_bt import losses
      >>> q, queue = jnp.array([[1.0, 0.0]]), jnp.array([[0.0], [1.0]])
      >>> print(f"{losses.info_nce(q, q, queue, temperature=1.0).loss:.4f}")  # log(1 + exp(-1))
      0.3133

    Reference:
      He et al., Momentum Contrast, CVPR 2020, eq. 1. arXiv:1911.05722
    """
    positive(temperature=temperature)
    q, k = embeddings(q=q, k=k)
    queue = lax.stop_gradient(floating("queue", queue, "D K"))
    if queue.shape[0] != q.shape[1]:
        raise ValueError(
            f"queue has shape {queue.shape}: expected ({q.shape[1]}, K), keys as columns"
        )
    positives = cosine(q, lax.stop_gradient(k))
    negatives = jnp.matmul(stats.l2_normalize(q), queue, precision=precision)
    logits = jnp.concatenate([positives[:, None], negatives], axis=1) / temperature
    log_p = jax.nn.log_softmax(logits, axis=1)[:, 0]
    return InfoNCE(-stats.mean(log_p, axis_name=axis_name))


@on_any_mesh
def info_nce_in_batch(
    q: Array,
    k: Array,
    *,
    temperature: float | Array = 1.0,
    axis_name: str | None = None,
    precision: lax.PrecisionLike = "highest",
) -> InfoNCE:
    """MoCo v3's contrastive loss in one direction: the batch's other keys are the negatives.

        loss = -2 T mean_n log( exp(q_n.k_n / T) / sum_m exp(q_n.k_m / T) )

    with q and k at unit length, m over the global batch. MoCo v3 adds the two directions:
    ``info_nce_in_batch(q_a, k_b).loss + info_nce_in_batch(q_b, k_a).loss``; the factor 2T keeps the
    gradient's size as T changes.

    Args:
      q: queries, (N, D), any floating dtype; normalised here.
      k: keys of the momentum encoder, (N, D); normalised here, no gradient.
      temperature: T, dimensionless: 1 for MoCo v3's ResNets, 0.2 for its ViTs.
      axis_name: mapped axis over which the rows are sharded, or None; keys are gathered over it.
      precision: of the (N, D) x (D, N) product.

    Returns:
      InfoNCE with ``loss``, a scalar of the global batch, float32 (float64 for float64 input).

    Raises:
      ValueError: an argument is not floating, not (N, D), or unlike the other in shape; the global
        batch has fewer than 2 examples; the temperature is not positive.

    Example:
      >>> import jax.numpy as jnp
      >>> from jax_bt import losses
      >>> q = jnp.eye(2)
      >>> print(f"{losses.info_nce_in_batch(q, q).loss:.4f}")  # 2 log(1 + exp(-1))
      0.6265

    Reference:
      Chen, Xie and He, An Empirical Study of Training Self-Supervised Vision Transformers, ICCV
      2021, algorithm 1. arXiv:2104.02057
    """
    positive(temperature=temperature)
    q, k = embeddings(q=q, k=k, axis_name=axis_name, minimum=2)
    log_p = log_share_of_own_key(q, lax.stop_gradient(k), temperature, axis_name, precision)
    return InfoNCE(-2 * temperature * stats.mean(log_p, axis=(0, 1), axis_name=axis_name))
