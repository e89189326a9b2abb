"""Averages the loss of small batches within one update: each has its own norms and its own loss."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array, lax

from jax_bt.methods import Outputs

PyTree = Any


def in_small_batches(
    loss: Callable[..., tuple[Array, Outputs]],
    count: int,
    batch: PyTree,
    key: Array,
) -> tuple[Array, Outputs]:
    """Computes the mean loss of ``count`` small batches, one after the other.

    Its gradient is the mean of the small batches' gradients, which a smaller memory or machine
    would accumulate over ``count`` steps before it updates (BYOL, section 5 and table 16). That is
    not the loss of the whole batch: batch norm, correlations and negatives see one small batch.
    ``micro_batches`` keeps the whole batch's. The backward pass runs each forward pass once more,
    so that the activations of one small batch are in memory at a time.

    Args:
      loss: (small batch, key) -> (loss, outputs).
      count: number of small batches; 1 for the batch as a whole.
      batch: arrays (local batch, ...) each; ``count`` divides the local batch.
      key: of the step; small batch i draws from ``fold_in(key, i)``.

    Returns:
      The mean loss, and outputs: the terms, running statistics and what is kept as the mean over
      the small batches, representations and embeddings in the batch's order.
    """
    if count == 1:
        return loss(batch, key)

    # Every count-th example: the same small batches on any number of devices.
    def split(x: Array) -> Array:
        return x.reshape(-1, count, *x.shape[1:]).swapaxes(0, 1)

    def joined(x: Array) -> Array:
        return x.swapaxes(0, 1).reshape(-1, *x.shape[2:])

    def mean(x: Array) -> Array:
        return jnp.mean(x, axis=0).astype(x.dtype)

    keys = jax.vmap(lambda i: jax.random.fold_in(key, i))(jnp.arange(count))
    given = jax.tree.map(split, batch), keys
    value, out = lax.map(jax.checkpoint(lambda small: loss(*small), prevent_cse=False), given)
    return mean(value), Outputs(
        terms=jax.tree.map(mean, out.terms),
        batch_stats=jax.tree.map(mean, out.batch_stats),
        representations=jax.tree.map(joined, out.representations),
        embeddings=jax.tree.map(joined, out.embeddings),
        kept=jax.tree.map(mean, out.kept),
    )
