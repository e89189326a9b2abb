"""DeepCluster v2 predicts the k-means clusters of last epoch's embeddings from this epoch's crops.

The first epoch fills the bank of embeddings: no example has a cluster, and the loss is 0.

Reference: Caron et al. 2020, https://arxiv.org/abs/2006.09882, appendix D; details as in
main_deepclusterv2.py of facebookresearch/swav
"""

from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from jax_bt import losses
from jax_bt.methods import _bank, _crops
from jax_bt.methods._bank import update_bank as update_bank
from jax_bt.methods._context import Context
from jax_bt.methods._networks import Networks, Outputs, Variables
from jax_bt.methods._options import Count, Positive, Widths
from jax_bt.models.heads import MLP

SHARED_ONLY = True  # all crops are compared with the same centroids


def heads(encoder_width: int, *, projector: Widths = (2048, 128)) -> dict[str, Any]:
    """The projector is Linear-BN-ReLU-Linear with biases."""
    return {"projector": MLP(projector, hidden_bias=True, output_bias=True)}


def init_target(
    networks: Networks, variables: Variables, context: Context, *, clusters: Widths = (3000,) * 3
) -> dict[str, Any]:
    """Makes room for the centroids (K, D) of each clustering."""
    width = networks.modules["projector"].width_out
    centroids = tuple(jnp.zeros((count, width)) for count in clusters)
    return {"centroids": centroids, "used": jnp.zeros(())}


def init_bank(
    networks: Networks, examples: int, context: Context, *, clusters: Widths = (3000,) * 3
) -> dict[str, Array]:
    """Makes room for the embeddings and clusters of every example."""
    return _bank.make(networks, examples, clusters, "target.clusters")


def loss(
    networks: Networks,
    variables: Variables,
    target: dict[str, Any],
    views: tuple[Array, ...],
    context: Context,
    *,
    temperature: Positive = 0.1,
) -> tuple[Array, Outputs]:
    """Takes the mean of ``losses.deepcluster_v2`` over the clusterings."""
    features, z, variables = _crops.embed(networks, variables, views)
    values = [
        losses.deepcluster_v2(
            z @ centroids.T,
            assignments=context.rows["assignments"][:, h],
            temperature=temperature,
            axis_name=context.axis_name,
        ).loss
        for h, centroids in enumerate(target["centroids"])
    ]
    value = jnp.mean(jnp.stack(values))
    return value, Outputs(
        terms={"loss": value, "clusters_used": target["used"]},
        batch_stats=variables["batch_stats"],
        representations=tuple(features),
        embeddings=tuple(z),
    )


def start_epoch(
    target: dict[str, Any],
    bank: dict[str, Array],
    params: Any,
    context: Context,
    *,
    iterations: Count = 10,
) -> tuple[dict[str, Any], dict[str, Array]]:
    """Clusters the bank anew, each clustering from embeddings drawn at random."""
    clusters = tuple(len(centroids) for centroids in target["centroids"])

    def find(h: int, rows: Array, kept: Array) -> tuple[Array, Array]:
        start = _bank.draw(jax.random.fold_in(context.key, h), rows, kept, clusters[h])
        found = losses.spherical_k_means(rows, start, iterations=iterations, kept=kept)
        return found.assignments, found.centroids

    bank, used, centroids = _bank.clustered(bank, clusters, find)
    return {"centroids": centroids, "used": used}, bank
