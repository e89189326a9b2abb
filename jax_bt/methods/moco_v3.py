"""MoCo v3: predictions find the momentum encoder's key among the keys of the batch.

Reference: Chen, Xie and He 2021, https://arxiv.org/abs/2104.02057
"""

from typing import Any

from jax import Array

from jax_bt import losses
from jax_bt.methods import branches
from jax_bt.methods import momentum as momentum_encoder
from jax_bt.methods._networks import Networks, Outputs, Variables
from jax_bt.models.heads import MLP

SHARED_ONLY = True  # the keys are of an average of the one trained network
VIEWS = 2


def heads(
    encoder_width: int,
    *,
    projector: tuple[int, ...] = (4096, 256),
    predictor: tuple[int, ...] = (4096, 256),
) -> dict[str, Any]:
    """No biases; the projector ends in batch norm without scale and shift, the predictor does not.

    So it is for ResNets; the reference's ViTs have a projector of three layers.
    """
    return {"projector": MLP(projector, output_norm="plain"), "predictor": MLP(predictor)}


def init_target(networks: Networks, variables: Variables) -> Variables:
    """A copy of encoder and projector."""
    return momentum_encoder.copy(networks, variables)


def loss(
    networks: Networks,
    variables: Variables,
    target: Variables,
    views: tuple[Array, Array],
    *,
    axis_name: str | None,
    temperature: float = 1.0,
) -> tuple[Array, Outputs]:
    """``losses.info_nce_in_batch``, the sum of both directions."""
    out = branches.run(networks, variables, target, views)
    value = 2 * out.both_directions(
        lambda q, k: (
            losses.info_nce_in_batch(q, k, temperature=temperature, axis_name=axis_name).loss
        )
    )
    return value, out.outputs(loss=value)


def update_target(
    target: Variables,
    params: Any,
    outputs: Outputs,
    *,
    step: Array,
    total_steps: int,
    momentum: float = 0.99,
) -> Variables:
    """Moves the target for the NEXT step, hence with that step's momentum.

    The reference moves it at the start of each step, before the keys, towards the parameters that
    the last optimiser step left: those at hand here. At its step 0 that changes nothing, since the
    target is a copy, so the two are the same but for the index of the schedule.
    """
    return momentum_encoder.update_target(
        target, params, outputs, step=step + 1, total_steps=total_steps, momentum=momentum
    )
