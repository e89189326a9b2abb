"""IMAX maximises what the views share under a Gaussian model, by log-determinants.

It is a baseline of the Barlow Twins paper, which did not make it work on ImageNet and publishes no
hyper-parameters. Those here are this project's.

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
    """The projector is Barlow Twins', ending in batch norm without scale and shift.

    With unit variances the ridge of the determinants means the same throughout training.
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
    """Takes ``losses.imax`` per dimension: (log|C(za - zb) + eps I| - log|C(za + zb) + eps I|) / D.

    The mean over dimensions keeps the loss and the rates the same for any width.
    """
    out = _branches.run(networks, variables, target, views)
    value = losses.imax(*out.embeddings, eps=eps, axis_name=context.axis_name)
    value = losses.IMAX(*(term / out.embeddings[0].shape[1] for term in value))
    return value.loss, out.outputs(**value._asdict())
