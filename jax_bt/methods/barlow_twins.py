"""Barlow Twins draws the cross-correlation matrix of the views to the identity.

Reference: Zbontar et al. 2021, https://arxiv.org/abs/2103.03230
"""

import functools
from typing import Annotated, Any

from jax import Array

from jax_bt import losses, stats
from jax_bt.methods import _branches
from jax_bt.methods._context import Context
from jax_bt.methods._momentum import init_target as init_target
from jax_bt.methods._momentum import update_target as update_target
from jax_bt.methods._networks import Networks, Outputs, Variables
from jax_bt.methods._options import Positive, Weight, Widths
from jax_bt.models.heads import MLP


def heads(
    encoder_width: int,
    *,
    projector: Widths = (8192, 8192, 8192),
    predictor: Widths = (),
    bias: bool = False,
    norm: bool = True,
) -> dict[str, Any]:
    """The projector is Linear-BN-ReLU twice, then Linear, without biases (the reference's main.py).

    ``predictor`` widths, (8192, 8192) in Table 6, add a second such net behind it. ``norm=False``
    leaves batch norm out of both (Table 5).
    """
    mlp = functools.partial(MLP, hidden_bias=bias, output_bias=bias, norm=norm)
    return _branches.heads(mlp(projector), mlp(predictor))


def loss(
    networks: Networks,
    variables: Variables,
    target: Any,
    views: tuple[Array, ...],
    context: Context,
    *,
    stop_gradient: bool = False,
    lambd: Weight | str = 0.0051,
    form: str = "auto",
    terms: str = "both",
    normalize: str = "batch",
    correlation: str = "cross",
    off_diagonal: str = "zero",
    temperature: Positive | None = None,
    ddof: Annotated[int, "[0, 1]"] = 0,
    eps: Weight = 1e-5,
    unit_rows: bool = False,
    precision: str | None = "highest",
) -> tuple[Array, Outputs]:
    """Takes ``losses.barlow_twins`` of the views; most options are its keywords.

    With a predictor, ``stop_gradient`` or a momentum encoder it is the mean over the ordered pairs
    of one view's prediction and another view's target. ``unit_rows`` scales the rows to unit length
    before the columns are standardised: ``off_diagonal="neg_one"``, ``ddof=1``, ``eps=0`` and it
    are Barlow-Twins-HSIC as its code has it (Tsai et al. 2021, https://arxiv.org/abs/2104.13712).
    """
    out = _branches.run(networks, variables, target, views, stop_gradient=stop_gradient)
    measure = functools.partial(
        losses.barlow_twins,
        lambd=lambd,
        axis_name=context.axis_name,
        form=form,
        terms=terms,
        normalize=normalize,
        correlation=correlation,
        off_diagonal=off_diagonal,
        temperature=temperature,
        ddof=ddof,
        eps=eps,
        precision=precision,
    )

    def formula(*z: Array) -> losses.BarlowTwins:
        return measure(*map(stats.l2_normalize, z)) if unit_rows else measure(*z)

    value = formula(*out.embeddings) if out.symmetric else out.both_directions(formula)
    return value.loss, out.outputs(**value._asdict())
