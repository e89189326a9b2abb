"""SeLa v2 learns prototypes, and labels all images by them in equal parts between epochs.

The first epoch fills the bank of embeddings: no example has a label, and the loss is 0. No code was
released; what the paper leaves open is as in DeepCluster v2, and the labelling as in SeLa's code.

Reference: Caron et al. 2020, https://arxiv.org/abs/2006.09882, appendix D; Asano et al. 2020,
https://arxiv.org/abs/1911.05371
"""

from typing import Any

import jax.numpy as jnp
from jax import Array

from jax_bt import losses, stats
from jax_bt.methods import _bank, _crops
from jax_bt.methods._bank import update_bank as update_bank
from jax_bt.methods._context import Context
from jax_bt.methods._networks import Networks, Outputs, Variables
from jax_bt.methods._options import Count, Positive, Widths
from jax_bt.models.heads import MLP, Linears

SHARED_ONLY = True  # all crops are scored against one set of prototypes


def heads(
    encoder_width: int, *, projector: Widths = (2048, 128), prototypes: Widths = (3000,) * 3
) -> dict[str, Any]:
    """Heads are Linear-BN-ReLU-Linear with biases, then scores of each labelling in float32."""
    return {
        "projector": MLP(projector, hidden_bias=True, output_bias=True),
        "prototypes": Linears(prototypes, dtype=jnp.float32),
    }


def constrain(params: dict[str, Any]) -> dict[str, Any]:
    """Scales prototypes to unit length, at the start and after each step, as SwAV does."""
    unit = {
        name: {"kernel": stats.l2_normalize(own["kernel"], axis=0)}
        for name, own in params["prototypes"].items()
    }
    return {**params, "prototypes": unit}


def init_target(networks: Networks, variables: Variables, context: Context) -> dict[str, Any]:
    """Keeps one number for the log: the share of labels that have images."""
    return {"used": jnp.zeros(())}


def init_bank(networks: Networks, examples: int, context: Context) -> dict[str, Array]:
    """Makes room for the embeddings and labels of every example."""
    labels = networks.modules["prototypes"].widths
    return _bank.make(networks, examples, labels, "heads.prototypes")


def loss(
    networks: Networks,
    variables: Variables,
    target: dict[str, Any],
    views: tuple[Array, ...],
    context: Context,
    *,
    temperature: Positive = 0.1,
) -> tuple[Array, Outputs]:
    """Takes the mean of ``losses.sela_v2`` over the labellings."""
    features, z, variables = _crops.embed(networks, variables, views)
    scores = networks(variables, z, after="projector")[0]["prototypes"]
    values = [
        losses.sela_v2(
            own,
            assignments=context.rows["assignments"][:, h],
            temperature=temperature,
            axis_name=context.axis_name,
        ).loss
        for h, own in enumerate(scores)
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
    temperature: Positive = 0.1,
    power: Positive = 25.0,
    iterations: Count = 100,
) -> tuple[dict[str, Any], dict[str, Array]]:
    """Labels the bank anew by ``losses.equal_parts``, each labelling by its own prototypes."""
    own = params["prototypes"]
    prototypes = [own[f"linear_{h}"]["kernel"].T for h in range(len(own))]

    def find(h: int, rows: Array, kept: Array) -> tuple[Array, Array]:
        return losses.equal_parts(
            rows, prototypes[h], temperature=temperature, power=power, most=iterations, kept=kept
        )

    bank, used, _ = _bank.clustered(bank, tuple(map(len, prototypes)), find)
    return {"used": used}, bank
