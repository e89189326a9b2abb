"""LeJEPA: views agree, and every projection of the embeddings is a standard normal.

Reference: Balestriero and LeCun 2025, https://arxiv.org/abs/2511.08544; heads as in its MINIMAL.md
"""

from typing import Annotated, Any

from jax import Array

from jax_bt import losses
from jax_bt.methods import _together
from jax_bt.methods._context import Context
from jax_bt.methods._networks import Networks, Outputs, Variables
from jax_bt.methods._options import Count, Positive, Weight, Widths
from jax_bt.models.heads import MLP

SHARED_ONLY = True  # views of one size go through one network together
LEAST_SCALE = 0.1  # deviation of the embeddings, which SIGReg draws to 1


def heads(encoder_width: int, *, projector: Widths = (2048, 2048, 128)) -> dict[str, Any]:
    """The projector is Linear-BN-ReLU twice, then Linear, all with biases."""
    return {"projector": MLP(projector, hidden_bias=True, output_bias=True)}


def loss(
    networks: Networks,
    variables: Variables,
    target: Any,
    views: tuple[Array, ...],
    context: Context,
    *,
    lam: Weight | None = None,
    slices: Count = 256,
    n_global: Count | None = None,
    t_max: Positive = 3.0,
    n_points: Annotated[int, "[2, 65536]"] = 17,
    convention: str = "minimal",
    precision: str | None = "highest",
) -> tuple[Array, Outputs]:
    """Takes ``losses.lejepa`` of any number of views; the options are its keywords.

    Each step draws new directions from its key, the same on every device.
    """
    out = _together.run(networks, variables, target, views)
    value = losses.lejepa(
        *out.embeddings,
        key=context.key,
        slices=slices,
        lam=lam,
        n_global=n_global,
        t_max=t_max,
        n_points=n_points,
        convention=convention,
        axis_name=context.axis_name,
        precision=precision,
    )
    return value.loss, out.outputs(**value._asdict())
