"""Runs all views of one size through the networks at once, as the codes of many views do.

`_branches.run` takes the views one after the other, each with batch statistics of its own. Here
views of one size share them, and the encoder runs once per size.
"""

import itertools
from typing import Any

import jax.numpy as jnp
from jax import Array, lax

from jax_bt.methods._branches import Pass
from jax_bt.methods._networks import Networks, Variables

PyTree = Any


def run(networks: Networks, variables: Variables, target: PyTree, views: tuple[Array, ...]) -> Pass:
    """Runs the views through encoder and projector, and through those of a momentum encoder.

    Args:
      networks: encoder and projector, the same for all views.
      variables: of the trained networks.
      target: variables of the momentum encoder, or () for none.
      views: (local batch, H, W, C) each; those of one size follow one another.

    Returns:
      The ``Pass``; its predictions are the embeddings.
    """
    representations, embeddings, variables = _embed(networks, variables, views)
    targets, kept = embeddings, ()
    if target:
        _, held, target = _embed(networks, target, views)
        targets, kept = lax.stop_gradient(held), target["batch_stats"]
    stats = variables["batch_stats"]
    return Pass(representations, embeddings, embeddings, targets, stats, kept)


def _embed(
    networks: Networks, variables: Variables, views: tuple[Array, ...]
) -> tuple[tuple[Array, ...], tuple[Array, ...], Variables]:
    representations: tuple[Array, ...] = ()
    embeddings: tuple[Array, ...] = ()
    for _, group in itertools.groupby(views, key=jnp.shape):
        same = [*group]
        out, variables = networks(variables, jnp.concatenate(same), until="projector")
        representations += tuple(jnp.split(out["encoder"], len(same)))
        embeddings += tuple(jnp.split(out["projector"], len(same)))
    return representations, embeddings, variables
