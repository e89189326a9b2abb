"""CorInfoMax: views agree, and a running covariance of each view has a large determinant.

Reference: Ozsoy et al. 2022, https://arxiv.org/abs/2209.07999
"""

from typing import Any

import jax.numpy as jnp
from jax import Array

from jax_bt import losses, stats
from jax_bt.losses import CorInfoMaxState
from jax_bt.methods import _branches
from jax_bt.methods._context import Context
from jax_bt.methods._networks import Networks, Outputs, Variables
from jax_bt.methods._options import Positive, Share, Weight, Widths
from jax_bt.models.heads import MLP

SHARED_ONLY = True  # the views' covariances are compared in one space
VIEWS = 2


def heads(encoder_width: int, *, projector: Widths = (8192, 8192, 512)) -> dict[str, Any]:
    """The projector has biases but for its last layer; on CIFAR it is (2048, 2048, 64)."""
    return {"projector": MLP(projector, hidden_bias=True)}


def init_target(networks: Networks, variables: Variables, context: Context) -> CorInfoMaxState:
    """Starts with covariances I (2, D, D) and means 0 (2, D) of the two views."""
    width = networks.modules["projector"].width_out
    return CorInfoMaxState(jnp.stack([jnp.eye(width)] * 2), jnp.zeros((2, width)))


def loss(
    networks: Networks,
    variables: Variables,
    target: CorInfoMaxState,
    views: tuple[Array, Array],
    context: Context,
    *,
    la: Share = 0.01,
    sim_weight: Weight = 250.0,
    R_eps: Positive = 1e-8,
    precision: str | None = "highest",
) -> tuple[Array, Outputs]:
    """Takes ``losses.cor_info_max`` of rows of unit length; the options are its keywords."""
    out = _branches.run(networks, variables, (), views)
    value = losses.cor_info_max(
        *(stats.l2_normalize(z) for z in out.embeddings),
        state=target,
        la=la,
        sim_weight=sim_weight,
        R_eps=R_eps,
        axis_name=context.axis_name,
        precision=precision,
    )
    record = out._replace(kept=value.state)
    return value.loss, record.outputs(loss=value.loss, mse=value.mse, cov=value.cov)


def update_target(
    target: CorInfoMaxState, params: Any, outputs: Outputs, context: Context
) -> CorInfoMaxState:
    """Keeps the statistics that the step's loss has moved."""
    return outputs.kept
