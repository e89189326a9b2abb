"""VISReg: views agree, and embeddings have unit scale, normal shape and zero mean.

Reference: VISReg 2026, https://arxiv.org/abs/2606.02572; heads as in its code
"""

from typing import Any

from jax import Array

from jax_bt import losses
from jax_bt.methods import _together
from jax_bt.methods._context import Context
from jax_bt.methods._networks import Networks, Outputs, Variables
from jax_bt.methods._options import Count, Share, Weight, Widths
from jax_bt.models.heads import MLP

SHARED_ONLY = True  # views of one size go through one network together
LEAST_SCALE = 0.1  # deviation of the embeddings, which the scale term draws to 1


def heads(encoder_width: int, *, projector: Widths = (2048, 2048, 256)) -> dict[str, Any]:
    """The projector is Linear-BN-ReLU twice, then Linear, all with biases (GELU for its ViT-B)."""
    return {"projector": MLP(projector, hidden_bias=True, output_bias=True)}


def loss(
    networks: Networks,
    variables: Variables,
    target: Any,
    views: tuple[Array, ...],
    context: Context,
    *,
    lam: Share = 0.9,
    slices: Count = 4096,
    scale_weight: Weight = 1.0,
    shape_weight: Weight = 1.0,
    center_weight: Weight = 1.0,
    n_global: Count | None = None,
    convention: str = "author",
    precision: str | None = "highest",
) -> tuple[Array, Outputs]:
    """Takes ``losses.visreg`` of any number of views; the options are its keywords.

    Each step draws new directions from its key, the same on every device.
    """
    out = _together.run(networks, variables, target, views)
    value = losses.visreg(
        *out.embeddings,
        key=context.key,
        slices=slices,
        lam=lam,
        scale_weight=scale_weight,
        shape_weight=shape_weight,
        center_weight=center_weight,
        n_global=n_global,
        convention=convention,
        axis_name=context.axis_name,
        precision=precision,
    )
    return value.loss, out.outputs(**value._asdict())
