"""Counts top-1 and top-5 of a classifier batch by batch, and computes its loss."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array


def cross_entropy(logits: Array, label: Array) -> Array:
    """Mean over the batch of -log softmax(logits)[label]; logits (B, K), label (B,)."""
    log_p = jax.nn.log_softmax(logits)
    return -jnp.mean(jnp.take_along_axis(log_p, label[:, None], axis=1))


def hits(logits: Array, label: Array) -> Array:
    """(3,) int32: examples right at first, right among the first five, and all; labels < 0 do not
    count. A logit that is not a number makes its example wrong."""
    own = jnp.take_along_axis(logits, jnp.maximum(label, 0)[:, None], axis=1)
    rank = jnp.sum(~(logits <= own), axis=1)
    known = label >= 0
    return jnp.stack([jnp.sum(known & (rank < n)) for n in (1, 5, logits.shape[1] + 1)])


def accuracies(counts: Sequence[Array]) -> dict[str, float]:
    """{"top1", "top5"} in percent, from ``hits`` of every batch."""
    first, fifth, count = np.array(counts, np.int64).sum(axis=0).tolist()
    return {"top1": 100 * first / count, "top5": 100 * fifth / count}
