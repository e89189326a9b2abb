"""W-MSE draws whitened views together; whitening keeps the embeddings from collapsing.

Reference: Ermolov et al. 2021, https://arxiv.org/abs/2007.06346
"""

from typing import Any

import jax
from jax import Array

from jax_bt import losses, stats
from jax_bt.methods import _branches
from jax_bt.methods._context import Context
from jax_bt.methods._networks import Networks, Outputs, Variables
from jax_bt.methods._options import Count, Weight, Widths
from jax_bt.models.heads import MLP


def heads(encoder_width: int, *, projector: Widths = (1024, 64)) -> dict[str, Any]:
    """The head is Linear-BN-ReLU-Linear with biases; 64 wide on CIFAR, 128 on larger images."""
    return {"projector": MLP(projector, hidden_bias=True, output_bias=True)}


def loss(
    networks: Networks,
    variables: Variables,
    target: Any,
    views: tuple[Array, ...],
    context: Context,
    *,
    iterations: Count = 1,
    whitening_size: Count | None = None,
    eps: Weight = 0.0,
    normalize: bool = True,
) -> tuple[Array, Outputs]:
    """Takes ``losses.w_mse`` of two, four or any number of views.

    Sub-batches of ``whitening_size`` examples, by default twice the embedding's width, are whitened
    together. One iteration takes the batch, which is in random order, as it comes. More iterations
    take the mean over as many draws, which are the same on every device.
    """
    out = _branches.run(networks, variables, target, views)
    permutation = None
    if iterations > 1:
        count, width = out.embeddings[0].shape
        count *= stats.axis_size(context.axis_name)
        whitening_size = min(whitening_size or 2 * width, count)
        draws = jax.vmap(lambda k: jax.random.permutation(k, count))
        permutation = draws(jax.random.split(context.key, iterations))
        permutation = permutation.reshape(iterations, -1, whitening_size)
    value = losses.w_mse(
        *out.embeddings,
        permutation=permutation,
        whitening_size=whitening_size,
        eps=eps,
        normalize=normalize,
        axis_name=context.axis_name,
    ).loss
    return value, out.outputs(loss=value)
