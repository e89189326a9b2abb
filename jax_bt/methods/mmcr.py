"""MMCR: the centroids of the images' views are spread by their nuclear norm.

Reference: Yerxa et al. 2023, https://arxiv.org/abs/2303.03307
"""

from typing import Any

from jax import Array

from jax_bt import losses
from jax_bt.methods import _together
from jax_bt.methods._context import Context
from jax_bt.methods._momentum import init_target as init_target
from jax_bt.methods._momentum import update_target as update_target
from jax_bt.methods._networks import Networks, Outputs, Variables
from jax_bt.methods._options import Weight, Widths
from jax_bt.models.heads import MLP

SHARED_ONLY = True  # all views go through one network together


def heads(encoder_width: int, *, projector: Widths = (8192, 8192, 512)) -> dict[str, Any]:
    """The projector is Barlow Twins', without biases, to fewer dimensions."""
    return {"projector": MLP(projector)}


def loss(
    networks: Networks,
    variables: Variables,
    target: Any,
    views: tuple[Array, ...],
    context: Context,
    *,
    lam: Weight = 0.0,
    convention: str = "author",
    precision: str | None = "highest",
) -> tuple[Array, Outputs]:
    """Takes ``losses.mmcr`` of any number of views; the options are its keywords.

    With ``target.momentum`` the centroids are the mean of both networks', as in its ImageNet code.
    """
    out = _together.run(networks, variables, target, views)
    value = losses.mmcr(
        *out.embeddings,
        z_momentum=out.targets if target else None,
        lam=lam,
        convention=convention,
        axis_name=context.axis_name,
        precision=precision,
    )
    return value.loss, out.outputs(**value._asdict())
