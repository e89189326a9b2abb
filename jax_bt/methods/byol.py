"""BYOL predicts the projection of the other view by a slowly following network.

Reference: Grill et al. 2020, https://arxiv.org/abs/2006.07733
"""

import functools
from typing import Any

from jax import Array

from jax_bt import losses
from jax_bt.methods import _branches, _momentum
from jax_bt.methods._context import Context
from jax_bt.methods._networks import Networks, Outputs, Variables
from jax_bt.methods._options import Positive, Share, Weight, Widths
from jax_bt.models.heads import MLP

SHARED_ONLY = True  # the target is an average of the one trained network
VIEWS = 2


def heads(
    encoder_width: int,
    *,
    projector: Widths = (4096, 256),
    predictor: Widths = (4096, 256),
    norm: bool = True,
) -> dict[str, Any]:
    """Both heads are Linear with bias, BN, ReLU, then Linear without bias and without norm."""
    mlp = functools.partial(MLP, hidden_bias=True, norm=norm)
    return _branches.heads(mlp(projector), mlp(predictor))


def init_target(networks: Networks, variables: Variables, context: Context) -> Variables:
    """Draws encoder and projector from another seed, as the reference does: not a copy."""
    return _momentum.copy(networks, networks.init(context.key))


def update_target(
    target: Variables,
    params: Any,
    outputs: Outputs,
    context: Context,
    *,
    momentum: Share = 0.996,
    cosine: bool = True,
) -> Variables:
    """Moves the target after step s with tau(s), which rises from ``momentum`` to 1."""
    return _momentum.update_target(
        target, params, outputs, context, momentum=momentum, cosine=cosine
    )


def loss(
    networks: Networks,
    variables: Variables,
    target: Variables,
    views: tuple[Array, Array],
    context: Context,
    *,
    beta: Weight = 0.0,
    temperature: Positive = 0.1,
    variance_weight: Weight = 0.0,
    covariance_weight: Weight = 0.0,
) -> tuple[Array, Outputs]:
    """Takes ``losses.byol`` of both directions, and VICReg's terms if they have weights.

    ``beta`` adds the targets of other images as negatives (the paper's table 5b).

    The target sees both views in training mode: it uses statistics of the batch and keeps running
    ones of its own.
    """
    out = _branches.run(networks, variables, target, views)
    value = losses.byol(
        *out.predictions,
        *out.targets,
        beta=beta,
        temperature=temperature,
        axis_name=context.axis_name,
    ).loss
    return _branches.outputs_with_spread(
        out,
        value,
        variance_weight=variance_weight,
        covariance_weight=covariance_weight,
        axis_name=context.axis_name,
    )
