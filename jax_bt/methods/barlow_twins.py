"""Barlow Twins (Zbontar et al. 2021): the views' cross-correlation matrix is drawn to the identity."""

from typing import Any

from jax import Array

from jax_bt import losses
from jax_bt.methods.networks import Networks, Outputs, Variables
from jax_bt.models.heads import MLP


def heads(encoder_width: int, *, projector: tuple[int, ...] = (8192, 8192, 8192)) -> dict[str, Any]:
    """The projector: Linear-BN-ReLU twice, then Linear; no biases (reference main.py)."""
    return {"projector": MLP(tuple(projector))}


def init_target(params: Any, batch_stats: Any) -> tuple[()]:
    """Keeps nothing beside the parameters."""
    return ()


def loss(
    networks: Networks,
    variables: Variables,
    target: Any,
    views: tuple[Array, Array],
    *,
    axis_name: str | None,
    **options: Any,
) -> tuple[Array, Outputs]:
    """``losses.barlow_twins`` of the two views; ``options`` are its keywords."""
    a, variables = networks(variables, views[0], branch=0)
    b, variables = networks(variables, views[1], branch=1)
    out = losses.barlow_twins(a["projector"], b["projector"], axis_name=axis_name, **options)
    return out.loss, Outputs(
        terms=out._asdict(),
        batch_stats=variables["batch_stats"],
        representations=(a["encoder"], b["encoder"]),
        embeddings=(a["projector"], b["projector"]),
    )


def update_target(target: Any, params: Any, outputs: Outputs, step: Array) -> Any:
    """Nothing moves."""
    return target
