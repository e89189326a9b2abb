"""The training step: the only ``jit`` and ``shard_map`` of training."""

from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array
from jax.sharding import Mesh

from jax_bt import optim
from jax_bt.mesh import AXIS, REPLICATED, SHARDED, replicated, sharded
from jax_bt.methods.networks import Networks, Outputs
from jax_bt.state import TrainState

PyTree = Any
Step = Callable[[TrainState, PyTree], tuple[TrainState, dict[str, Array]]]


def init_state(
    method: ModuleType,
    networks: Networks,
    optimizer: optim.GradientTransformation,
    mesh: Mesh,
    *,
    seed: int,
    image_shape: tuple[int, int, int],
    target_options: Mapping[str, Any] | None = None,
) -> TrainState:
    """Builds the state of step 0, replicated over the mesh; the same for any number of devices.

    Args:
      method: a module of ``methods/``.
      networks: encoder and heads.
      optimizer: from ``optim.make``.
      mesh: the mesh of all devices.
      seed: everything random of the run derives from it.
      image_shape: (height, width, channels) of a view.
      target_options: keywords of ``method.init_target``.
    """

    def init(seed: Array) -> TrainState:
        key = jax.random.key(seed)
        variables = networks.init(jax.random.fold_in(key, 0), jnp.zeros((1, *image_shape)))
        params, batch_stats = variables["params"], variables["batch_stats"]
        return TrainState(
            step=jnp.zeros((), jnp.int32),
            params=params,
            batch_stats=batch_stats,
            opt_state=optimizer.init(params),
            target=method.init_target(params, batch_stats, **(target_options or {})),
            key=key,
        )

    return jax.jit(init, out_shardings=replicated(mesh))(seed)


def make_train_step(
    method: ModuleType,
    networks: Networks,
    optimizer: optim.GradientTransformation,
    mesh: Mesh,
    *,
    loss_options: Mapping[str, Any] | None = None,
    target_options: Mapping[str, Any] | None = None,
    gradient_scale: float = 1.0,
) -> Step:
    """Compiles one step: (state, batch) -> (state, metrics).

    The gradient is taken OUTSIDE the map, with replication checks on: a forgotten reduction or an
    unsynchronised BatchNorm is then an error while tracing, never a wrong number. It is the exact
    gradient of the global batch's loss on any number of devices.

    Args:
      method: a module of ``methods/``.
      networks: encoder and heads.
      optimizer: from ``optim.make``.
      mesh: the mesh of all devices.
      loss_options: keywords of ``method.loss``.
      target_options: keywords of ``method.update_target``.
      gradient_scale: factor on the gradient. The reference Barlow Twins code on W GPUs applies
        1/W of the true gradient, unseen by LARS except against weight decay, but not by the
        unadapted one-dimensional parameters: 1/W reproduces it (docs/scaling.md).

    Returns:
      The step. It takes a state, which it consumes (the buffers are donated), and a batch with
      "views", a tuple of (global batch, H, W, C) arrays sharded over the mesh. Metrics are
      replicated float32 scalars: the loss terms and the norms of gradient, update and parameters.
    """

    def global_loss(params: PyTree, batch_stats: PyTree, target: PyTree, views: PyTree):
        variables = {"params": params, "batch_stats": batch_stats}
        return method.loss(
            networks, variables, target, views, axis_name=AXIS, **(loss_options or {})
        )

    outputs_specs = Outputs(
        terms=REPLICATED,
        batch_stats=REPLICATED,
        representations=SHARDED,
        embeddings=SHARDED,
        kept=REPLICATED,
    )
    mapped_loss = jax.shard_map(
        global_loss,
        mesh=mesh,
        in_specs=(REPLICATED, REPLICATED, REPLICATED, SHARDED),
        out_specs=(REPLICATED, outputs_specs),
    )

    def step(state: TrainState, batch: PyTree) -> tuple[TrainState, dict[str, Array]]:
        gradient = jax.value_and_grad(mapped_loss, has_aux=True)
        (_, outputs), grads = gradient(
            state.params, state.batch_stats, state.target, batch["views"]
        )
        grads = jax.tree.map(lambda g: g * gradient_scale, grads)
        params, opt_state, norms = optim.update(optimizer, grads, state.opt_state, state.params)
        target = method.update_target(
            state.target, params, outputs, state.step, **(target_options or {})
        )
        new_state = state.replace(
            step=state.step + 1,
            params=params,
            batch_stats=outputs.batch_stats,
            opt_state=opt_state,
            target=target,
        )
        return new_state, outputs.terms | norms

    return jax.jit(
        step,
        donate_argnums=0,
        in_shardings=(replicated(mesh), sharded(mesh)),
        out_shardings=replicated(mesh),
    )
