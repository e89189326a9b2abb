"""SwAV: each crop predicts the cluster codes of another, balanced over the batch by Sinkhorn.

Reference: Caron et al. 2020, https://arxiv.org/abs/2006.09882
"""

import itertools
from typing import Any

import jax.numpy as jnp
from jax import Array, lax

from jax_bt import losses, stats
from jax_bt.errors import UsageError
from jax_bt.methods._context import Context
from jax_bt.methods._networks import Networks, Outputs, Variables
from jax_bt.methods._options import Count, CountOrZero, Positive, Widths
from jax_bt.models.heads import MLP, Linear

SHARED_ONLY = True  # all crops are scored against one set of prototypes


def heads(
    encoder_width: int, *, projector: Widths = (2048, 128), prototypes: Count = 3000
) -> dict[str, Any]:
    """Linear-BN-ReLU-Linear with biases, then scores against the prototypes, in float32."""
    return {
        "projector": MLP(projector, hidden_bias=True, output_bias=True),
        "prototypes": Linear(prototypes, use_bias=False, dtype=jnp.float32),
    }


def constrain(params: dict[str, Any]) -> dict[str, Any]:
    """Prototypes of unit length: at the start and after each step.

    The reference does it before each step, hence with the same prototypes in every forward pass.
    """
    kernel = stats.l2_normalize(params["prototypes"]["kernel"], axis=0)
    return {**params, "prototypes": {"kernel": kernel}}


def init_target(
    networks: Networks, variables: Variables, context: Context, *, queue_size: CountOrZero = 0
) -> Any:
    """A queue of embeddings of both large crops (2, M, D), empty; () for batches that need none."""
    width = networks.modules["projector"].widths[-1]
    return jnp.zeros((2, queue_size, width)) if queue_size else ()


def loss(
    networks: Networks,
    variables: Variables,
    target: Any,
    views: tuple[Array, ...],
    context: Context,
    *,
    temperature: Positive = 0.1,
    epsilon: Positive = 0.05,
    iterations: Count = 3,
    freeze_steps: CountOrZero = 313,
) -> tuple[Array, Outputs]:
    """``losses.swav``: the codes of the first two crops, predicted by all the others.

    Crops of one size go through the encoder together and all crops through the projector together,
    as in the reference: so go their batch statistics. Prototypes learn nothing before
    ``freeze_steps``, and a queue takes part in Sinkhorn once it is full.
    """
    features = []
    for _, same in itertools.groupby(views, key=jnp.shape):
        out, variables = networks(variables, jnp.concatenate([*same]), until="encoder")
        features.append(out["encoder"])
    features = jnp.concatenate(features)
    out, variables = networks(variables, features, after="encoder", until="projector")
    z = stats.l2_normalize(out["projector"])

    kernel = variables["params"]["prototypes"]["kernel"]
    kernel = jnp.where(context.step < freeze_steps, lax.stop_gradient(kernel), kernel)
    held = {**variables, "params": {"prototypes": {"kernel": kernel}}}

    def scores_of(z: Array) -> Array:
        return networks(held, z, after="projector")[0]["prototypes"]

    def formula(**queue: Array) -> losses.SwAV:
        return losses.swav(
            scores_of(z).reshape(len(views), -1, kernel.shape[1]),
            temperature=temperature,
            epsilon=epsilon,
            iterations=iterations,
            axis_name=context.axis_name,
            **queue,
        )

    def with_queue() -> losses.SwAV:
        devices = stats.axis_size(context.axis_name)
        share, rest = divmod(target.shape[1], devices)
        if rest:
            raise UsageError(
                f"swav: queue_size {target.shape[1]} does not divide over {devices} devices: "
                f"use --config.target.queue_size={max(share, 1) * devices}"
            )
        first = stats.shard_index(context.axis_name) * share
        return formula(queue_scores=scores_of(lax.dynamic_slice_in_dim(target, first, share, 1)))

    if len(target):
        full = jnp.any(target[:, -1] != 0)
        value = lax.cond(full, lambda: with_queue().loss, lambda: formula().loss)
    else:
        value = formula().loss
    by_view = (len(views), -1)
    return value, Outputs(
        terms={"loss": value},
        batch_stats=variables["batch_stats"],
        representations=tuple(features.reshape(*by_view, features.shape[1])),
        embeddings=tuple(z.reshape(*by_view, z.shape[1])),
    )


def update_target(
    target: Any,
    params: Any,
    outputs: Outputs,
    context: Context,
    *,
    queue_start: CountOrZero = 0,
) -> Any:
    """Puts the step's embeddings in front of the queue, from step ``queue_start`` on."""
    if not len(target):
        return target
    new = jnp.stack(outputs.embeddings[:2]).astype(target.dtype)
    moved = jnp.concatenate([new, target], axis=1)[:, : target.shape[1]]
    return jnp.where(context.step >= queue_start, moved, target)
