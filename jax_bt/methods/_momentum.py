"""A momentum encoder: a second set of weights that follows the trained ones slowly."""

from typing import Any

import jax
from jax import Array

from jax_bt import schedules
from jax_bt.methods._networks import Networks, Outputs, Variables

PyTree = Any


def copy(networks: Networks, variables: Variables) -> Variables:
    """Parameters and statistics of what a target consists of: encoder and projector."""
    names = [n for b in (0, 1) for n, _ in networks.chain(b, until="projector")]
    return {kind: {name: tree[name] for name in names} for kind, tree in variables.items()}


def move(target: PyTree, params: PyTree, momentum: Array | float) -> PyTree:
    """momentum * target + (1 - momentum) * params, for those params that the target has."""

    def mean(old: Array, new: Array) -> Array:
        return (momentum * old + (1 - momentum) * new).astype(old.dtype)

    return {name: jax.tree.map(mean, tree, params[name]) for name, tree in target.items()}


def init_target(
    networks: Networks, variables: Variables, *, momentum: float | None = None
) -> PyTree:
    """A copy of encoder and projector, or () without a momentum."""
    return () if momentum is None else copy(networks, variables)


def update_target(
    target: PyTree,
    params: PyTree,
    outputs: Outputs,
    *,
    step: Array,
    total_steps: int,
    momentum: float | None = None,
    cosine: bool = True,
) -> PyTree:
    """Moves the target's parameters after the optimiser's step.

    Its BatchNorm statistics are its own, of the batches it saw: they are not averaged.

    Args:
      target: of ``init_target``.
      params: the trained parameters, already updated.
      outputs: of the step; ``kept`` holds the target's new statistics.
      step: number of this step, from 0.
      total_steps: of the run.
      momentum: share of the target that stays, at step 0; None for no target.
      cosine: let it rise to 1 at the last step, as BYOL does; else it is constant.
    """
    if momentum is None:
        return target
    tau = schedules.cosine_ema(momentum, total_steps)(step) if cosine else momentum
    return {**target, "params": move(target["params"], params, tau), "batch_stats": outputs.kept}
