"""FroSSL: views agree, and the Frobenius norm of their Gram matrices is small.

Reference: Skean et al. 2024, https://arxiv.org/abs/2310.02903
"""

from typing import Any

from jax import Array

from jax_bt import losses
from jax_bt.methods import _branches
from jax_bt.methods._context import Context
from jax_bt.methods._networks import Networks, Outputs, Variables
from jax_bt.methods._options import Weight, Widths
from jax_bt.models.heads import MLP


def heads(encoder_width: int, *, projector: Widths = (2048, 2048, 1024)) -> dict[str, Any]:
    """The projector is Linear-BN-ReLU twice, then Linear, all with biases."""
    return {"projector": MLP(projector, hidden_bias=True, output_bias=True)}


def loss(
    networks: Networks,
    variables: Variables,
    target: Any,
    views: tuple[Array, ...],
    context: Context,
    *,
    invariance_weight: Weight = 1.4,
    convention: str = "author",
    form: str = "auto",
    precision: str | None = "highest",
) -> tuple[Array, Outputs]:
    """Takes ``losses.frossl`` of any number of views; the options are its keywords."""
    out = _branches.run(networks, variables, target, views)
    value = losses.frossl(
        *out.embeddings,
        invariance_weight=invariance_weight,
        convention=convention,
        form=form,
        axis_name=context.axis_name,
        precision=precision,
    )
    return value.loss, out.outputs(**value._asdict())
