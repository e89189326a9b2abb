"""Mixed Barlow Twins adds a third view of mixed images, which correlate as mixed embeddings do.

Reference: Bandara et al. 2023, https://arxiv.org/abs/2312.02151
"""

from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from jax_bt import losses, stats
from jax_bt.methods import _branches
from jax_bt.methods._context import Context
from jax_bt.methods._networks import Networks, Outputs, Variables
from jax_bt.methods._options import CountOrZero, Weight, Widths
from jax_bt.models.heads import MLP

SHARED_ONLY = True  # mixed images are of both views
VIEWS = 2


def heads(
    encoder_width: int, *, projector: Widths = (8192, 8192, 8192), bias: bool = False
) -> dict[str, Any]:
    """The projector is Barlow Twins'; its last layer may have a bias, as on CIFAR."""
    return {"projector": MLP(projector, output_bias=bias)}


def loss(
    networks: Networks,
    variables: Variables,
    target: Any,
    views: tuple[Array, Array],
    context: Context,
    *,
    lambd: Weight = 0.0051,
    mixup_loss_scale: Weight = 0.5,
    warmup_steps: CountOrZero = 0,
    unit_rows: bool = False,
    form: str = "auto",
    precision: str | None = "highest",
) -> tuple[Array, Outputs]:
    """Takes ``losses.mixed_barlow_twins`` of the two views and a third, alpha a + (1 - alpha) b'.

    alpha ~ U(0, 1) is one draw per step. b' is the other view of the NEXT example of the global
    batch. The batch is in random order, so that every partner is as likely as under the reference's
    random permutation, but for the example itself; and each device needs one image of another.

    Args:
      networks: encoder and projector.
      variables: of them.
      target: ().
      views: two, (local batch, H, W, C) each.
      context: the key draws alpha; the step warms up.
      lambd: see ``losses.mixed_barlow_twins``, as ``form`` and ``precision``.
      mixup_loss_scale: weight of the mixed view, times lambd.
      warmup_steps: number of steps in which that weight rises from 0.
      unit_rows: scale rows to unit length before the columns are standardised (its CIFAR code).
    """
    a, b = views
    alpha = jax.random.uniform(context.key)
    mixed = alpha * a + (1 - alpha) * stats.next_row(b, context.axis_name)
    out = _branches.run(networks, variables, target, (a, b, mixed.astype(a.dtype)))
    count = len(a) * stats.axis_size(context.axis_name)
    warmth = jnp.minimum(context.step / max(warmup_steps, 1), 1) if warmup_steps else 1.0
    value = losses.mixed_barlow_twins(
        *(stats.l2_normalize(z) if unit_rows else z for z in out.embeddings),
        permutation=jnp.roll(jnp.arange(count), -1),
        alpha=alpha,
        lambd=lambd,
        mixup_loss_scale=mixup_loss_scale * warmth,
        axis_name=context.axis_name,
        form=form,
        precision=precision,
    )
    two = {"representations": out.representations[:2], "embeddings": out.embeddings[:2]}
    return value.loss, out._replace(**two).outputs(**value._asdict())
