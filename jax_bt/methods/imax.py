"""IMAX: information that the views share under a Gaussian model, by log-determinants.

The Barlow Twins paper's baseline, which it could not make work on ImageNet and for which it
publishes no hyper-parameters; those here are this project's.

Reference: Becker and Hinton 1992; section 5 of https://arxiv.org/abs/2103.03230
"""

from typing import Any

from jax import Array

from jax_bt import losses
from jax_bt.methods import _branches
from jax_bt.methods._context import Context
from jax_bt.methods._networks import Networks, Outputs, Variables
from jax_bt.methods._options import Positive, Widths
from jax_bt.models.heads import MLP

VIEWS = 2


def heads(encoder_width: int, *, projector: Widths = (2048, 2048, 2048)) -> dict[str, Any]:
    """Barlow Twins' projector, ending in batch norm without scale and shift.

    Unit variances make the ridge of the determinants mean the same throughout training.
    """
    return {"projector": MLP(projector, output_norm="plain")}


def loss(
    networks: Networks,
    variables: Variables,
    target: Any,
    views: tuple[Array, Array],
    context: Context,
    *,
    eps: Positive = 1e-3,
) -> tuple[Array, Outputs]:
    """``losses.imax`` per dimension: log |C(za - zb) + eps I| - log |C(za + zb) + eps I|, over D.

    The sum grows with D; its mean keeps the loss and the rates the same for any width.
    """
    out = _branches.run(networks, variables, target, views)
    value = losses.imax(*out.embeddings, eps=eps, axis_name=context.axis_name)
    value = losses.IMAX(*(term / out.embeddings[0].shape[1] for term in value))
    return value.loss, out.outputs(**value._asdict())
