"""Runs crops of several sizes through the networks, as SwAV and its relatives do."""

import itertools

import jax.numpy as jnp
from jax import Array

from jax_bt import stats
from jax_bt.methods._networks import Networks, Variables


def embed(
    networks: Networks, variables: Variables, views: tuple[Array, ...]
) -> tuple[Array, Array, Variables]:
    """Representations and unit embeddings of all views.

    Crops of one size go through the encoder together, and all crops through the projector together,
    as in the reference; batch statistics are over these.

    Args:
      networks: encoder and projector.
      variables: of the trained networks.
      views: (local batch, H, W, C) each; those of one size follow one another.

    Returns:
      Representations (views, local batch, F), embeddings of unit length (views, local batch, D),
      and the variables with new running statistics.
    """
    features = []
    for i, (_, same) in enumerate(itertools.groupby(views, key=jnp.shape)):
        out, variables = networks(variables, jnp.concatenate([*same]), until="encoder", view=i)
        features.append(out["encoder"])
    features = jnp.concatenate(features)
    out, variables = networks(variables, features, after="encoder", until="projector")
    z = stats.l2_normalize(out["projector"])
    by_view = (len(views), -1)
    return (
        features.reshape(*by_view, features.shape[-1]),
        z.reshape(*by_view, z.shape[-1]),
        variables,
    )
