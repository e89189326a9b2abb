"""MoCo v3 finds each prediction's key, of a momentum encoder, among the keys of the batch.

Reference: Chen, Xie and He 2021, https://arxiv.org/abs/2104.02057
"""

import dataclasses
import functools
from typing import Any

from jax import Array

from jax_bt import losses
from jax_bt.methods import _branches, _momentum
from jax_bt.methods._context import Context
from jax_bt.methods._networks import Networks, Outputs, Variables
from jax_bt.methods._options import Positive, Share, Widths
from jax_bt.models.heads import MLP

SHARED_ONLY = True  # the keys are of an average of the one trained network
VIEWS = 2


def heads(
    encoder_width: int,
    *,
    projector: Widths = (4096, 256),
    predictor: Widths = (4096, 256),
) -> dict[str, Any]:
    """Heads have no biases; the projector alone ends in batch norm, without scale and shift.

    These are the heads of ResNets. The reference's ViTs have a projector of three layers.
    """
    return {"projector": MLP(projector, output_norm="plain"), "predictor": MLP(predictor)}


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
    temperature: Positive = 1.0,
) -> tuple[Array, Outputs]:
    """Takes ``losses.info_nce_in_batch``, the sum of both directions."""
    out = _branches.run(networks, variables, target, views)
    formula = functools.partial(
        losses.info_nce_in_batch, temperature=temperature, axis_name=context.axis_name
    )
    value = 2 * out.both_directions(formula).loss
    return value, out.outputs(loss=value)


def update_target(
    target: Variables,
    params: Any,
    outputs: Outputs,
    context: Context,
    *,
    momentum: Share = 0.99,
) -> Variables:
    """Moves the target for the NEXT step, hence with that step's momentum.

    The reference moves it at the start of each step, before the keys, towards the parameters of the
    step before: those at hand here. At step 0 that changes nothing, since the target is a copy. So
    both are the same, with the schedule taken one step later.
    """
    following = dataclasses.replace(context, step=context.step + 1)
    return _momentum.update_target(target, params, outputs, following, momentum=momentum)
