"""MoCo v2 finds a query's key, of a momentum encoder, among a queue of past keys.

The reference shuffles examples between GPUs before the key encoder. Otherwise the statistics of one
GPU's few examples would tell which key belongs to which query. Here batch norm is over the global
batch: all queries and keys of a step share their statistics, which then tell nothing.

Reference: He et al. 2020, https://arxiv.org/abs/1911.05722; Chen et al. 2020,
https://arxiv.org/abs/2003.04297
"""

from typing import Any

import jax
import jax.numpy as jnp
from jax import Array, lax

from jax_bt import losses, stats
from jax_bt.errors import UsageError
from jax_bt.methods import _momentum
from jax_bt.methods._context import Context
from jax_bt.methods._networks import Networks, Outputs, Variables
from jax_bt.methods._options import Count, Positive, Share, Widths
from jax_bt.models.heads import MLP

SHARED_ONLY = True  # the key encoder is an average of the one query encoder
VIEWS = 2


def heads(encoder_width: int, *, projector: Widths = (2048, 128)) -> dict[str, Any]:
    """The projector is Linear-ReLU-Linear with biases and without norm."""
    return {"projector": MLP(projector, hidden_bias=True, output_bias=True, norm=False)}


def init_target(
    networks: Networks, variables: Variables, context: Context, *, queue_size: Count = 65536
) -> dict[str, Any]:
    """Copies the encoder for the keys; fills a queue (D, K) with random unit columns."""
    width = networks.modules["projector"].width_out
    queue = stats.l2_normalize(jax.random.normal(context.key, (width, queue_size)), axis=0)
    pointer = jnp.zeros((), jnp.int32)
    return {**_momentum.copy(networks, variables), "queue": queue, "pointer": pointer}


def loss(
    networks: Networks,
    variables: Variables,
    target: dict[str, Any],
    views: tuple[Array, Array],
    context: Context,
    *,
    temperature: Positive = 0.2,
) -> tuple[Array, Outputs]:
    """Takes ``losses.info_nce`` of the first view's queries and the second view's keys."""
    q, variables = networks(variables, views[0], view=0)
    k, moved = networks(target, views[1], until="projector")
    k = lax.stop_gradient(k)
    value = losses.info_nce(
        q["projector"],
        k["projector"],
        target["queue"],
        temperature=temperature,
        axis_name=context.axis_name,
    ).loss
    return value, Outputs(
        terms={"loss": value},
        batch_stats=variables["batch_stats"],
        representations=(q["encoder"], k["encoder"]),
        embeddings=(q["projector"], k["projector"]),
        kept=moved["batch_stats"],
    )


def update_target(
    target: dict[str, Any],
    params: Any,
    outputs: Outputs,
    context: Context,
    *,
    momentum: Share = 0.999,
) -> dict[str, Any]:
    """Replaces the oldest keys by the step's, in the batch's order, and moves the key encoder.

    The reference moves it at the start of the next step, towards the same parameters.
    """
    keys = stats.l2_normalize(outputs.embeddings[1]).T
    queue, pointer = target["queue"], target["pointer"]
    size, batch = queue.shape[1], keys.shape[1]
    if size % batch:
        raise UsageError(
            f"moco_v2: queue_size {size} is not a multiple of batch_size {batch}: "
            f"use --config.target.queue_size={max(size // batch, 1) * batch}"
        )
    return {
        "params": _momentum.move(target["params"], params, momentum),
        "batch_stats": outputs.kept,
        "queue": lax.dynamic_update_slice(queue, keys.astype(queue.dtype), (0, pointer)),
        "pointer": (pointer + batch) % size,
    }
