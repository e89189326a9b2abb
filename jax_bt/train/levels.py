"""Computes the loss of identical, independent and collapsed embeddings, to explain its size.

A Barlow Twins loss of 10,000 says nothing by itself. Beside it stand the losses of views that are
the same, of views that have nothing in common, and of embeddings that are all one point.
"""

from typing import Any

import jax
import numpy as np
from jax import Array

from jax_bt.methods import Context, Networks
from jax_bt.train.run import Run

LARGEST = 2**25  # numbers per view; above, the levels would take seconds and memory


class _Same:
    """Stands for a Flax module that hands its input on."""

    def apply(
        self, variables: Any, x: Array, *, train: bool, mutable: Any = (), rngs: Any = None
    ) -> Any:
        return (x, {}) if mutable else x


def levels(run: Run) -> dict[str, float]:
    """The method's loss for three kinds of embeddings at this run's N, D and weights.

    Args:
      run: a run.

    Returns:
      "identical" (both views the same standard normal rows), "independent" (another draw in the
      second view) and "collapsed" (all rows of both views one point), as far as the loss is finite
      there; nothing for methods whose loss needs more than embeddings (a target, prototypes), or
      where N x D is above LARGEST.
    """
    widths = getattr(run.networks.modules["projector"], "widths", (0,))
    shape = (run.data.batch_size, widths[-1])
    kept = jax.eval_shape(run.init_state).target
    if set(run.networks.modules) != {"encoder", "projector"} or jax.tree.leaves(kept):
        return {}
    if not 0 < shape[0] * shape[1] <= LARGEST:
        return {}
    networks = Networks({"encoder": _Same(), "projector": _Same()}, inputs=shape[1:])
    variables = {"params": {name: {} for name in networks.modules}, "batch_stats": {}}
    context = Context(None, 0, run.total_steps, jax.random.key(0))
    count = len(run.data.recipes)

    @jax.jit
    def loss(views: tuple[Array, ...]) -> Array:
        return run.method.loss(networks, variables, (), views, context)[0]

    draws = [np.random.default_rng(i).normal(size=shape).astype(np.float32) for i in range(count)]
    found = {
        "identical": float(loss((draws[0],) * count)),
        "independent": float(loss(tuple(draws))),
        "collapsed": float(loss((np.repeat(draws[0][:1], shape[0], axis=0),) * count)),
    }
    return {name: value for name, value in found.items() if np.isfinite(value)}


def text(found: dict[str, float], run: Run) -> str:
    """The levels as one line."""
    widths = run.networks.modules["projector"].widths
    parts = ", ".join(f"{name} {value:,.4g}" for name, value in found.items())
    return f"loss of embeddings {run.data.batch_size} x {widths[-1]} that are: {parts}"
