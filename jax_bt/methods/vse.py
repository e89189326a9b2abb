"""VSE++ draws pairs together in one space, away from the hardest other example of the batch.

Reference: Faghri et al. 2018, https://arxiv.org/abs/1707.05612; towers of its code's model.py
"""

from typing import Any

from jax import Array

from jax_bt import losses
from jax_bt.methods import _branches
from jax_bt.methods._context import Context
from jax_bt.methods._networks import Networks, Outputs, Variables
from jax_bt.methods._options import Positive, Widths
from jax_bt.models.heads import MLP, Identity

VIEWS = 2


def heads(encoder_width: int, *, projector: Widths = (1024,)) -> dict[str, Any]:
    """A Linear layer with bias on features of unit length, into the common space.

    A branch whose features are as wide as the space needs none: VSE++'s GRU of 1024.
    """
    if projector == (encoder_width,):
        return {"projector": Identity(encoder_width)}
    return {
        "projector": MLP(projector, hidden_bias=True, output_bias=True, unit_input=True),
    }


def loss(
    networks: Networks,
    variables: Variables,
    target: Any,
    views: tuple[Array, Array],
    context: Context,
    *,
    margin: Positive = 0.2,
    hardest: bool = True,
) -> tuple[Array, Outputs]:
    """Takes ``losses.vse``, a sum over the batch: the rate of a larger batch is a smaller one."""
    out = _branches.run(networks, variables, target, views)
    value = losses.vse(*out.embeddings, margin=margin, hardest=hardest, axis_name=context.axis_name)
    return value.loss, out.outputs(**value._asdict())
