"""SimCLR finds the other view of each example among all examples of both views.

Reference: Chen et al. 2020, https://arxiv.org/abs/2002.05709; heads of SimCLR v2's code
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


def heads(
    encoder_width: int, *, projector: Widths = (2048, 2048, 128), norm: bool = True
) -> dict[str, Any]:
    """The projector is Linear-BN-ReLU layers, then Linear-BN without shift; no biases.

    The reference's hidden layers are as wide as the encoder's output: 2048 fits ResNet-50.
    ``norm=False`` has biases instead of batch norm, as in solo-learn.
    """
    if norm:
        return {"projector": MLP(projector, output_norm="scale")}
    return {"projector": MLP(projector, norm=False, hidden_bias=True, output_bias=True)}


def loss(
    networks: Networks,
    variables: Variables,
    target: Any,
    views: tuple[Array, Array],
    context: Context,
    *,
    temperature: Positive = 0.1,
) -> tuple[Array, Outputs]:
    """Takes ``losses.nt_xent``; negatives are the other examples of the global batch."""
    out = _branches.run(networks, variables, target, views)
    value = losses.nt_xent(
        *out.embeddings, temperature=temperature, axis_name=context.axis_name
    ).loss
    return value, out.outputs(loss=value)
