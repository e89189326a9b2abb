"""Makes what a method does between epochs, such as a clustering of its bank."""

from collections.abc import Callable

import jax
from jax.sharding import Mesh

from jax_bt.methods import Context, Method
from jax_bt.train.state import TrainState, shardings
from jax_bt.train.step import EPOCHS


def make_epoch_start(
    method: Method, mesh: Mesh, *, total_steps: int
) -> Callable[[TrainState], TrainState]:
    """Compiles what a method does before the first step of an epoch: state -> state.

    A state of that step, as a checkpoint holds it, has it still to come. For most methods it is
    nothing.

    Args:
      method: with its options.
      mesh: the mesh of all devices.
      total_steps: of the run.

    Returns:
      The function; it consumes the state, whose sharding stays.
    """
    if not method.starts_epochs:
        return lambda state: state

    def start(state: TrainState) -> TrainState:
        key = jax.random.fold_in(jax.random.fold_in(state.key, EPOCHS), state.step)
        context = Context(None, state.step, total_steps, key)
        target, bank = method.start_epoch(state.target, state.bank, state.params, context)
        return state.replace(target=target, bank=bank)

    lies = shardings(mesh)
    return jax.jit(start, donate_argnums=0, in_shardings=(lies,), out_shardings=lies)
