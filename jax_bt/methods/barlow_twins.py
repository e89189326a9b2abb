"""Barlow Twins: the views' cross-correlation matrix is drawn to the identity.

Reference: Zbontar et al. 2021, https://arxiv.org/abs/2103.03230
"""

from typing import Any

from jax import Array

from jax_bt import losses
from jax_bt.methods import branches
from jax_bt.methods._momentum import init_target as init_target
from jax_bt.methods._momentum import update_target as update_target
from jax_bt.methods._networks import Networks, Outputs, Variables
from jax_bt.models.heads import MLP

FORMULA = losses.barlow_twins


def heads(
    encoder_width: int,
    *,
    projector: tuple[int, ...] = (8192, 8192, 8192),
    predictor: tuple[int, ...] = (),
    bias: bool = False,
    norm: bool = True,
) -> dict[str, Any]:
    """The projector: Linear-BN-ReLU twice, then Linear; no biases (reference main.py).

    ``predictor`` widths, (8192, 8192) in Table 6, add a second such net behind it; ``norm=False``
    leaves batch norm out of both (Table 5).
    """
    made = {"projector": MLP(projector, hidden_bias=bias, output_bias=bias, norm=norm)}
    if predictor:
        made["predictor"] = MLP(predictor, hidden_bias=bias, output_bias=bias, norm=norm)
    return made


def loss(
    networks: Networks,
    variables: Variables,
    target: Any,
    views: tuple[Array, ...],
    *,
    axis_name: str | None,
    stop_gradient: bool = False,
    **options: Any,
) -> tuple[Array, Outputs]:
    """``losses.barlow_twins`` of the views; ``options`` are its keywords.

    With a predictor, ``stop_gradient`` or a momentum encoder: its mean over the ordered pairs of
    one view's prediction and another view's target.
    """
    out = branches.run(networks, variables, target, views, stop_gradient=stop_gradient)

    def formula(*z: Array) -> losses.BarlowTwins:
        return losses.barlow_twins(*z, axis_name=axis_name, **options)

    value = formula(*out.embeddings) if out.symmetric else out.both_directions(formula)
    return value.loss, out.outputs(**value._asdict())
