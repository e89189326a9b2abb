"""SwAV predicts from each crop the cluster codes of another, which Sinkhorn balances.

Reference: Caron et al. 2020, https://arxiv.org/abs/2006.09882
"""

import functools
from typing import Any

import jax.numpy as jnp
from jax import Array, lax

from jax_bt import losses, stats
from jax_bt.methods import _crops
from jax_bt.methods._context import Context
from jax_bt.methods._networks import Networks, Outputs, Variables
from jax_bt.methods._options import Count, CountOrZero, Positive, Widths
from jax_bt.models.heads import MLP, Linear

SHARED_ONLY = True  # all crops are scored against one set of prototypes


def heads(
    encoder_width: int, *, projector: Widths = (2048, 128), prototypes: Count = 3000
) -> dict[str, Any]:
    """Heads are Linear-BN-ReLU-Linear with biases, then scores of the prototypes in float32."""
    return {
        "projector": MLP(projector, hidden_bias=True, output_bias=True),
        "prototypes": Linear(prototypes, use_bias=False, dtype=jnp.float32),
    }


def constrain(params: dict[str, Any]) -> dict[str, Any]:
    """Scales prototypes to unit length, at the start and after each step.

    The reference does so before each step: every forward pass has the same prototypes.
    """
    kernel = stats.l2_normalize(params["prototypes"]["kernel"], axis=0)
    return {**params, "prototypes": {"kernel": kernel}}


def init_target(
    networks: Networks, variables: Variables, context: Context, *, queue_size: CountOrZero = 0
) -> Any:
    """Makes an empty queue (2, M, D) of embeddings of both large crops; () for size 0."""
    width = networks.modules["projector"].width_out
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
    """Takes ``losses.swav``: all crops predict the codes of the first two.

    Prototypes have no gradient before ``freeze_steps``, and a queue takes part in Sinkhorn once it
    is full.
    """
    features, z, variables = _crops.embed(networks, variables, views)
    kernel = variables["params"]["prototypes"]["kernel"]
    kernel = jnp.where(context.step < freeze_steps, lax.stop_gradient(kernel), kernel)
    prototypes = {**variables, "params": {"prototypes": {"kernel": kernel}}}

    def scores_of(z: Array) -> Array:
        return networks(prototypes, z, after="projector")[0]["prototypes"]

    formula = functools.partial(
        losses.swav,
        scores_of(z),
        temperature=temperature,
        epsilon=epsilon,
        iterations=iterations,
        axis_name=context.axis_name,
    )

    def with_queue() -> Array:
        share = stats.own_share(target, context.axis_name, field="target.queue_size", axis=1)
        return formula(queue_scores=scores_of(share)).loss

    def without() -> Array:
        return formula().loss

    if len(target):
        value = lax.cond(jnp.any(target[:, -1] != 0), with_queue, without)
    else:
        value = without()
    return value, Outputs(
        terms={"loss": value},
        batch_stats=variables["batch_stats"],
        representations=tuple(features),
        embeddings=tuple(z),
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
