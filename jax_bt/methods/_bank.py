"""Keeps embeddings and clusters of every example, for methods that cluster between epochs."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import Array

from jax_bt.errors import UsageError
from jax_bt.methods._context import Context
from jax_bt.methods._networks import Networks, Outputs

LARGE = 2  # crops of an example whose embeddings are kept, the first ones

Bank = dict[str, Array]


def make(networks: Networks, examples: int, clusters: tuple[int, ...], field: str) -> Bank:
    """A bank of no embeddings, in which no example has a cluster.

    Args:
      networks: their projector makes the embeddings.
      examples: N of the data set.
      clusters: number of clusters of each clustering.
      field: of the config, which says so, for the message.

    Returns:
      "embeddings" (N, 2, D), zeros, and "assignments" (N, clusterings) int32, -1.

    Raises:
      UsageError: more clusters than examples.
    """
    if max(clusters) > examples:
        raise UsageError(f"{field}={clusters}: no more clusters than the {examples} examples")
    width = networks.modules["projector"].width_out
    return {
        "embeddings": jnp.zeros((examples, LARGE, width)),
        "assignments": jnp.full((examples, len(clusters)), -1, jnp.int32),
    }


def update_bank(bank: Bank, outputs: Outputs, context: Context) -> Bank:
    """Keeps the embeddings of the first two crops in the rows of the batch's examples."""
    new = jnp.stack(outputs.embeddings[:LARGE], axis=1)
    return {**bank, "embeddings": bank["embeddings"].at[context.index].set(new)}


def clustered(
    bank: Bank, clusters: tuple[int, ...], find: Callable[[int, Array, Array], tuple[Array, Array]]
) -> tuple[Bank, Array, tuple[Array, ...]]:
    """Gives every example that has embeddings its clusters, of one clustering after the other.

    Args:
      bank: of which only embeddings are read.
      clusters: number of clusters of each clustering.
      find: (number of the clustering, embeddings (N, D), which of them there are (N,) bool) ->
        (assignments (N,), -1 for rows that are not there; anything else it found). Clusterings
        take the two crops in turn.

    Returns:
      The bank with new assignments; the share of all clusters that have members; what else was
      found, by clustering.
    """
    kept = jnp.any(bank["embeddings"] != 0, axis=(1, 2))
    found = [find(h, bank["embeddings"][:, h % LARGE], kept) for h in range(len(clusters))]
    assignments, others = zip(*found, strict=True)
    used = sum(
        jnp.sum(jnp.zeros(count, bool).at[jnp.where(kept, given, count)].set(True, mode="drop"))
        for count, given in zip(clusters, assignments, strict=True)
    )
    bank = {**bank, "assignments": jnp.stack(assignments, axis=1)}
    return bank, used / sum(clusters), others


def draw(key: Array, rows: Array, kept: Array, count: int) -> Array:
    """So many different rows (count, D), drawn at random from those that are there."""
    order = jnp.where(kept, jax.random.uniform(key, kept.shape), -1)
    return rows[jax.lax.top_k(order, count)[1]]
