"""TiCo: views agree, along directions in which past batches varied little.

Reference: Zhu et al. 2022, https://arxiv.org/abs/2206.10698; details as in TiCo-pytorch
"""

import dataclasses
from typing import Any

import jax.numpy as jnp
from jax import Array, lax

from jax_bt import losses
from jax_bt.methods import _momentum
from jax_bt.methods._context import Context
from jax_bt.methods._networks import Networks, Outputs, Variables
from jax_bt.methods._options import Share, Weight, Widths
from jax_bt.models.heads import MLP

SHARED_ONLY = True  # the targets are of an average of the one trained network
VIEWS = 2


def heads(encoder_width: int, *, projector: Widths = (4096, 256)) -> dict[str, Any]:
    """The projector is Linear-BN-ReLU without bias, then Linear with one."""
    return {"projector": MLP(projector, output_bias=True)}


def init_target(networks: Networks, variables: Variables, context: Context) -> dict[str, Any]:
    """Copies encoder and projector; the average of second moments starts at zero."""
    width = networks.modules["projector"].width_out
    return {**_momentum.copy(networks, variables), "C": jnp.zeros((width, width))}


def loss(
    networks: Networks,
    variables: Variables,
    target: dict[str, Any],
    views: tuple[Array, Array],
    context: Context,
    *,
    rho: Weight = 8.0,
    beta: Share = 0.9,
    convention: str = "lightly",
    precision: str | None = "highest",
) -> tuple[Array, Outputs]:
    """Takes ``losses.tico``, one direction: the momentum network sees the second view alone."""
    z_a, variables = networks(variables, views[0])
    z_b, moved = networks(target, views[1], until="projector")
    z_b = lax.stop_gradient(z_b)
    value = losses.tico(
        z_a["projector"],
        z_b["projector"],
        target["C"],
        rho=rho,
        beta=beta,
        convention=convention,
        axis_name=context.axis_name,
        precision=precision,
    )
    return value.loss, Outputs(
        terms={"loss": value.loss, "invariance": value.invariance, "contrast": value.contrast},
        batch_stats=variables["batch_stats"],
        representations=(z_a["encoder"], z_b["encoder"]),
        embeddings=(z_a["projector"], z_b["projector"]),
        kept={"batch_stats": moved["batch_stats"], "C": value.C},
    )


def update_target(
    target: dict[str, Any],
    params: Any,
    outputs: Outputs,
    context: Context,
    *,
    momentum: Share = 0.99,
) -> dict[str, Any]:
    """Moves the momentum network for the NEXT step, with that step's momentum.

    The reference moves it at the start of each step; see ``moco_v3.update_target``.
    """
    following = dataclasses.replace(context, step=context.step + 1)
    record = outputs._replace(kept=outputs.kept["batch_stats"])
    moved = _momentum.update_target(target, params, record, following, momentum=momentum)
    return {**moved, "C": outputs.kept["C"]}
