"""Updates parameters once, and their moving average."""

import jax
import optax
from jax import Array

from jax_bt.optim.groups import PyTree


def update(
    optimizer: optax.GradientTransformation,
    grads: PyTree,
    opt_state: PyTree,
    params: PyTree,
    *,
    step: Array | int | None = None,
) -> tuple[PyTree, PyTree, dict[str, Array]]:
    """One step of the optimiser.

    Args:
      optimizer: from ``make``.
      grads: gradients, the structure of ``params``.
      opt_state: the optimiser's state.
      params: parameters.
      step: of the run, which the rates are those of; None for the number of updates so far. They
        differ where updates were left out.

    Returns:
      New parameters, new state, and the global l2 norms {"gradient_norm", "update_norm",
      "parameter_norm"} (of the parameters before the update), float32 scalars.
    """
    optimizer = optax.with_extra_args_support(optimizer)
    given = {} if step is None else {"step": step}
    updates, opt_state = optimizer.update(grads, opt_state, params, **given)
    norms = {
        "gradient_norm": optax.tree.norm(grads),
        "update_norm": optax.tree.norm(updates),
        "parameter_norm": optax.tree.norm(params),
    }
    return optax.apply_updates(params, updates), opt_state, norms


def ema(target: PyTree, params: PyTree, momentum: Array | float) -> PyTree:
    """momentum * target + (1 - momentum) * params, in the dtypes of ``target``.

    Args:
      target: the average so far.
      params: what is averaged, the structure of ``target``.
      momentum: share of the average that stays, in [0, 1].
    """
    moved = optax.incremental_update(params, target, 1 - momentum)
    return jax.tree.map(lambda new, old: new.astype(old.dtype), moved, target)
