"""MEC: predictions and a momentum encoder's projections have a large joint coding length.

Reference: Liu et al. 2022, https://arxiv.org/abs/2210.11464
"""

from typing import Any

import jax.numpy as jnp
from jax import Array

from jax_bt import losses, stats
from jax_bt.methods import _branches, _momentum
from jax_bt.methods._context import Context
from jax_bt.methods._networks import Networks, Outputs, Variables
from jax_bt.methods._options import Count, CountOrZero, Positive, Share, Widths
from jax_bt.models.heads import MLP

SHARED_ONLY = True  # the targets are of an average of the one trained network
VIEWS = 2


def heads(
    encoder_width: int,
    *,
    projector: Widths = (2048, 2048, 2048),
    predictor: Widths = (512, 2048),
) -> dict[str, Any]:
    """Projector and predictor are SimSiam's: the first ends in batch norm without parameters."""
    return _branches.heads(MLP(projector, output_norm="plain"), MLP(predictor, output_bias=True))


def init_target(networks: Networks, variables: Variables, context: Context) -> Variables:
    """Copies encoder and projector."""
    return _momentum.copy(networks, variables)


def loss(
    networks: Networks,
    variables: Variables,
    target: Variables,
    views: tuple[Array, Array],
    context: Context,
    *,
    eps: Positive = 64.0,
    order: Count = 4,
    warmup_steps: CountOrZero = 0,
    precision: str | None = "highest",
) -> tuple[Array, Outputs]:
    """Takes ``losses.mec`` of both directions; ``eps`` and ``order`` are its keywords.

    The series converges only for a large 1 / lambda, so that it falls linearly from 8 N eps / D to
    N eps / D in the first ``warmup_steps`` (10 epochs in the reference, 12510 steps).
    """
    out = _branches.run(networks, variables, target, views)
    count, width = out.predictions[0].shape
    count *= stats.axis_size(context.axis_name)
    warmth = jnp.minimum(context.step / max(warmup_steps - 1, 1), 1) if warmup_steps else 1.0
    value = losses.mec(
        *out.predictions,
        *out.targets,
        lamda_inv=(8 - 7 * warmth) * count * eps / width,
        order=order,
        axis_name=context.axis_name,
        precision=precision,
    )
    return value.loss, out.outputs(**value._asdict())


def update_target(
    target: Variables,
    params: Any,
    outputs: Outputs,
    context: Context,
    *,
    momentum: Share = 0.996,
) -> Variables:
    """Moves the target after the optimiser's step, by BYOL's schedule."""
    return _momentum.update_target(target, params, outputs, context, momentum=momentum)
