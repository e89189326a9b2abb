"""DirectCLR: InfoNCE on the leading features of the encoder, which has no projector.

Reference: Jing et al. 2022, https://arxiv.org/abs/2110.09348; facebookresearch/directclr
"""

from typing import Any

import jax
from jax import Array

from jax_bt import losses
from jax_bt.methods import _branches
from jax_bt.methods._context import Context
from jax_bt.methods._networks import Networks, Outputs, Variables
from jax_bt.methods._options import Count, Positive, Widths
from jax_bt.models.heads import MLP, Identity

VIEWS = 2
SHARED_ONLY = True  # the leading features of two encoders are not the same features


def heads(encoder_width: int, *, projector: Widths = ()) -> dict[str, Any]:
    """No projector; with widths, the projector of the paper's baselines.

    Its "1-layer" is linear, (2048,), and its "2-layer" (2048, 2048) is SimCLR's.
    """
    return {"projector": MLP(projector) if projector else Identity(encoder_width)}


def loss(
    networks: Networks,
    variables: Variables,
    target: Any,
    views: tuple[Array, Array],
    context: Context,
    *,
    dimensions: Count | None = 360,
    random: bool = False,
    temperature: Positive = 0.1,
) -> tuple[Array, Outputs]:
    """Takes ``losses.direct_clr`` of the first ``dimensions`` features; None takes all.

    ``random=True`` is the paper's ablation "random dropout": in each step other features, drawn
    from the step's key.
    """
    out = _branches.run(networks, variables, target, views)
    compared = out.embeddings
    if random:
        order = jax.random.permutation(context.key, compared[0].shape[1])
        compared = tuple(z[:, order] for z in compared)
    terms = losses.direct_clr(
        *compared, dimensions=dimensions, temperature=temperature, axis_name=context.axis_name
    )
    return terms.loss, out.outputs(**terms._asdict())
