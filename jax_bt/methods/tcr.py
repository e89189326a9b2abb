"""TCR (EMP-SSL): many patches agree with their mean, and each has a large coding rate.

The paper evaluates a bag of features: the mean over 128 patches of the projector's first layer.
Here, as for all methods, it is the encoder's output of the whole image.

Reference: Tong et al. 2023, https://arxiv.org/abs/2304.03977
"""

from typing import Any

from jax import Array

from jax_bt import losses, stats
from jax_bt.methods import _together
from jax_bt.methods._context import Context
from jax_bt.methods._networks import Networks, Outputs, Variables
from jax_bt.methods._options import Positive, Weight, Widths
from jax_bt.models.heads import MLP

SHARED_ONLY = True  # all patches go through one network together


def heads(encoder_width: int, *, projector: Widths = (4096, 4096, 1024)) -> dict[str, Any]:
    """The projector is Linear-BN-ReLU twice, then Linear, all with biases."""
    return {"projector": MLP(projector, hidden_bias=True, output_bias=True)}


def loss(
    networks: Networks,
    variables: Variables,
    target: Any,
    views: tuple[Array, ...],
    context: Context,
    *,
    eps: Positive = 0.2,
    sim_weight: Weight = 200.0,
    tcr_weight: Weight = 1.0,
    precision: str | None = "highest",
) -> tuple[Array, Outputs]:
    """Takes ``losses.tcr`` of rows of unit length; the options are its keywords."""
    out = _together.run(networks, variables, target, views)
    value = losses.tcr(
        *(stats.l2_normalize(z) for z in out.embeddings),
        eps=eps,
        sim_weight=sim_weight,
        tcr_weight=tcr_weight,
        axis_name=context.axis_name,
        precision=precision,
    )
    return value.loss, out.outputs(**value._asdict())
