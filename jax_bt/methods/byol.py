"""BYOL: predict what a slow copy of the network says of the other view.

Reference: Grill et al. 2020, https://arxiv.org/abs/2006.07733
"""

import functools
from collections.abc import Callable
from typing import Any

from jax import Array

from jax_bt import losses
from jax_bt.methods import branches, momentum
from jax_bt.methods._networks import Networks, Outputs, Variables
from jax_bt.models.heads import MLP

SHARED_ONLY = True  # the target is an average of the one trained network
VIEWS = 2


def heads(
    encoder_width: int,
    *,
    projector: tuple[int, ...] = (4096, 256),
    predictor: tuple[int, ...] = (4096, 256),
    norm: bool = True,
) -> dict[str, Any]:
    """Projector and predictor: Linear (bias)-BN-ReLU, then Linear without bias; no norm after."""
    return {
        "projector": MLP(projector, hidden_bias=True, norm=norm),
        "predictor": MLP(predictor, hidden_bias=True, norm=norm),
    }


def init_target(
    networks: Networks, variables: Variables, *, draw: Callable[[], Variables]
) -> Variables:
    """Encoder and projector of another seed, as in the reference: not a copy."""
    return momentum.copy(networks, draw())


# After the optimiser's step s the target moves with tau(s), from ``momentum`` up to 1.
update_target = functools.partial(momentum.update_target, momentum=0.996)


def loss(
    networks: Networks,
    variables: Variables,
    target: Variables,
    views: tuple[Array, Array],
    *,
    axis_name: str | None,
    variance_weight: float = 0.0,
    covariance_weight: float = 0.0,
) -> tuple[Array, Outputs]:
    """``losses.byol`` of both directions, and VICReg's terms if they have weights.

    The target sees both views in training mode: batch statistics, and running ones of its own.
    """
    out = branches.run(networks, variables, target, views)
    value = losses.byol(*out.predictions, *out.targets, axis_name=axis_name).loss
    added, terms = branches.spread(
        out.embeddings,
        variance_weight=variance_weight,
        covariance_weight=covariance_weight,
        axis_name=axis_name,
    )
    return value + added, out.outputs(loss=value + added, **terms)
