"""SimSiam predicts the other view's projection, through which no gradient flows.

Reference: Chen and He 2021, https://arxiv.org/abs/2011.10566
"""

from typing import Any

from jax import Array

from jax_bt import losses
from jax_bt.methods import _branches
from jax_bt.methods._context import Context
from jax_bt.methods._networks import Networks, Outputs, Variables
from jax_bt.methods._options import Weight, Widths
from jax_bt.models.heads import MLP

SHARED_ONLY = True  # a prediction meets the projection of the same network
VIEWS = 2


def heads(
    encoder_width: int,
    *,
    projector: Widths = (2048, 2048, 2048),
    predictor: Widths = (512, 2048),
    norm: bool = True,
) -> dict[str, Any]:
    """The projector ends in batch norm without scale and shift; the predictor in a plain Linear.

    ``predictor=()`` leaves it out, and ``norm=False`` all batch norm (VICReg's Table 4).
    """
    output_norm = "plain" if norm else "none"
    return _branches.heads(
        MLP(projector, norm=norm, output_norm=output_norm),
        MLP(predictor, output_bias=True, norm=norm),
    )


def loss(
    networks: Networks,
    variables: Variables,
    target: Any,
    views: tuple[Array, Array],
    context: Context,
    *,
    variance_weight: Weight = 0.0,
    covariance_weight: Weight = 0.0,
) -> tuple[Array, Outputs]:
    """Takes ``losses.simsiam`` of both directions, and VICReg's terms if they have weights."""
    out = _branches.run(networks, variables, target, views, stop_gradient=True)
    value = losses.simsiam(*out.predictions, *out.targets, axis_name=context.axis_name).loss
    return _branches.outputs_with_spread(
        out,
        value,
        variance_weight=variance_weight,
        covariance_weight=covariance_weight,
        axis_name=context.axis_name,
    )
