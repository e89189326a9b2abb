"""Keeps a momentum encoder: a second set of weights that follows the trained ones slowly."""

from typing import Any

from jax import Array

from jax_bt import optim
from jax_bt.methods._context import Context
from jax_bt.methods._networks import Networks, Outputs, Variables
from jax_bt.methods._options import Share

PyTree = Any


def copy(networks: Networks, variables: Variables) -> Variables:
    """Copies parameters and statistics of the networks that a target consists of.

    Args:
      networks: encoder, projector and further heads.
      variables: of all of them.

    Returns:
      The variables of encoders and projectors alone.
    """
    names = [n for b in (0, 1) for n, _ in networks.chain(b, until="projector")]
    return {kind: {name: tree[name] for name in names} for kind, tree in variables.items()}


def move(target: PyTree, params: PyTree, momentum: Array | float) -> PyTree:
    """Takes momentum * target + (1 - momentum) * params, of the networks that the target has."""
    return optim.ema(target, {name: params[name] for name in target}, momentum)


def init_target(
    networks: Networks, variables: Variables, context: Context, *, momentum: Share | None = None
) -> PyTree:
    """Copies encoder and projector; returns () without a momentum."""
    return () if momentum is None else copy(networks, variables)


def update_target(
    target: PyTree,
    params: PyTree,
    outputs: Outputs,
    context: Context,
    *,
    momentum: Share | None = None,
    cosine: bool = True,
) -> PyTree:
    """Moves the target's parameters after the optimiser's step.

    Its BatchNorm statistics are its own, of the batches it saw: they are not averaged.

    Args:
      target: from ``init_target``.
      params: the trained parameters, already updated.
      outputs: of the step; ``kept`` holds the target's new statistics.
      context: number of this step, from 0, and of all steps.
      momentum: share of the target that stays, at step 0; None for no target.
      cosine: let the share rise to 1 at the last step, as BYOL does; else it is constant.

    Returns:
      The new target.
    """
    if momentum is None:
        return target
    share = momentum
    if cosine:
        share = optim.schedules.cosine_ema(momentum, context.total_steps)(context.step)
    moved = move(target["params"], params, share)
    return {**target, "params": moved, "batch_stats": outputs.kept}
