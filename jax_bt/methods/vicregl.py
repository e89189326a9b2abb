"""VICRegL: VICReg of the embeddings, and of positions of feature maps matched between the views.

Positions are matched by what they hold and by where they lie in the image. With the classifier
beside the encoder (``evaluate.online``), which its code trains too, that is all of its loss.

Reference: Bardes, Ponce and LeCun 2022, https://arxiv.org/abs/2210.01571; facebookresearch/VICRegL
"""

import functools
from typing import Annotated, Any

from jax import Array

from jax_bt import augment, losses
from jax_bt.methods import _branches
from jax_bt.methods._context import Context
from jax_bt.methods._networks import Networks, Outputs, Variables
from jax_bt.methods._options import Positive, Share, Weight, Widths
from jax_bt.models.heads import MLP

PLACES = True
SHARED_ONLY = True
LEAST_SCALE = 0.1  # deviation of the embeddings, which the variance term holds near 1
Matches = Annotated[tuple[int, int], "[1, 1048576]"]


def heads(
    encoder_width: int,
    *,
    projector: Widths = (8192, 8192, 8192),
    maps_projector: Widths = (512, 512, 512),
    layer_norm: bool = False,
) -> dict[str, Any]:
    """VICReg's expander, and another, which takes every position of the encoder's maps.

    Its batch norm is over batch and positions. ``layer_norm=True`` has layer norm in both, as with
    ConvNeXts.
    """
    mlp = functools.partial(MLP, hidden_bias=True, norm="layer" if layer_norm else True)
    return {"projector": mlp(projector), "maps_projector": mlp(maps_projector, reads="maps")}


def loss(
    networks: Networks,
    variables: Variables,
    target: Any,
    views: tuple[Array, ...],
    context: Context,
    *,
    alpha: Share = 0.75,
    num_matches: Matches = (20, 4),
    flip_grid: bool = True,
    convention: str = "author",
    invariance_weight: Weight = 25.0,
    variance_weight: Weight = 25.0,
    covariance_weight: Weight = 1.0,
    eps: Positive = 1e-4,
    precision: str | None = "highest",
) -> tuple[Array, Outputs]:
    """Takes ``losses.vicregl`` of the views; large crops come first.

    A flipped view's positions lie where they are in the image; ``flip_grid=False`` leaves them
    where they would be without the flip, as its code does by default (``--no-flip-grid 1``). The
    other options are the loss's keywords.
    """
    out = _branches.run(networks, variables, target, views)
    maps = [made["maps_projector"] for made in out.outputs_of]
    cells = [
        augment.cells(place, *of_view.shape[1:3], flipped=flip_grid)
        for place, of_view in zip(context.places, maps, strict=True)
    ]
    first, second, *more = zip(out.embeddings, maps, cells, strict=True)
    value = losses.vicregl(
        *(array for both in zip(first, second, strict=True) for array in both),
        *more,
        alpha=alpha,
        num_matches=num_matches,
        convention=convention,
        invariance_weight=invariance_weight,
        variance_weight=variance_weight,
        covariance_weight=covariance_weight,
        eps=eps,
        axis_name=context.axis_name,
        precision=precision,
    )
    return value.loss, out.outputs(**value._asdict())
