"""The training step: the only ``jit`` and ``shard_map`` of training."""

from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array
from jax.sharding import Mesh

from jax_bt import methods, optim, watch
from jax_bt.devices.mesh import AXIS, REPLICATED, SHARDED, replicated, sharded
from jax_bt.methods._networks import Networks, Outputs
from jax_bt.train.state import TrainState

PyTree = Any
# What the run's key is folded with, so that no stream repeats.
NETWORKS, TARGET, STEPS, VIEWS = range(4)
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
      target_options: keywords of ``method.init_target``, which may want more: "key", a PRNG key,
        and "draw", a function that initialises the networks once more, from another seed.
    """

    def init(seed: Array) -> TrainState:
        key = jax.random.key(seed)

        def draw(stream: int = TARGET) -> PyTree:
            return networks.init(jax.random.fold_in(key, stream), jnp.zeros((1, *image_shape)))

        variables = draw(NETWORKS)
        variables["params"] = params = _constrain(method, variables["params"])
        given = {"draw": draw, "key": jax.random.fold_in(key, TARGET)}
        options = methods.wanted(method.init_target, {**given, **(target_options or {})})
        return TrainState(
            step=jnp.zeros((), jnp.int32),
            params=params,
            batch_stats=variables["batch_stats"],
            opt_state=optimizer.init(params),
            target=method.init_target(networks, variables, **options),
            key=key,
            skipped=jnp.zeros((), jnp.int32),
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
    total_steps: int | None = None,
    diagnostics_every: int = 0,
    skip_nonfinite: bool = False,
    augment: Callable[[PyTree, Array, Array], tuple[Array, ...]] | None = None,
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
      total_steps: of the run; methods with a schedule of their own need it.
      diagnostics_every: steps between measurements of collapse, which the last step has as well;
        the metrics of other steps hold NaN for them. 0 for none.
      gradient_scale: factor on the gradient. The reference Barlow Twins code on W GPUs applies
        1/W of the true gradient, unseen by LARS except against weight decay, but not by the
        unadapted one-dimensional parameters: 1/W reproduces it (docs/scaling.md).
      skip_nonfinite: a step whose loss or gradient is not finite changes nothing but its number and
        the count of such steps, which is then among the metrics as "skipped".
      augment: (batch, key of the run, step) -> views: what is left to the device of making the
        views; by default the batch has them ready.

    Returns:
      The step. It takes a state, which it consumes (the buffers are donated), and a batch with
      "views", a tuple of (global batch, H, W, C) arrays sharded over the mesh; "votes", any
      (devices, n) booleans, come back counted: whether any device had True. Metrics are
      replicated float32 scalars: the loss terms and the norms of gradient, update and parameters.
    """

    def global_loss(params: PyTree, state: TrainState, views: PyTree):
        variables = {"params": params, "batch_stats": state.batch_stats}
        key = jax.random.fold_in(jax.random.fold_in(state.key, STEPS), state.step)
        given = {"axis_name": AXIS, "step": state.step, "key": key}
        options = methods.wanted(method.loss, given) | dict(loss_options or {})
        return method.loss(networks, variables, state.target, views, **options)

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
        in_specs=(REPLICATED, REPLICATED, SHARDED),
        out_specs=(REPLICATED, outputs_specs),
    )

    def step(state: TrainState, batch: PyTree) -> tuple[TrainState, dict[str, Array]]:
        gradient = jax.value_and_grad(mapped_loss, has_aux=True)
        rest = state.replace(params=(), opt_state=())
        views = batch["views"]
        if augment is not None:
            views = augment(batch, jax.random.fold_in(state.key, VIEWS), state.step)
        (loss, outputs), grads = gradient(state.params, rest, views)
        grads = jax.tree.map(lambda g: g * gradient_scale, grads)
        params, opt_state, norms = optim.update(optimizer, grads, state.opt_state, state.params)
        params = _constrain(method, params)
        given = {"step": state.step, "total_steps": total_steps}
        options = methods.wanted(method.update_target, {**given, **(target_options or {})})
        target = method.update_target(state.target, params, outputs, **options)
        new_state = state.replace(
            step=state.step + 1,
            params=params,
            batch_stats=outputs.batch_stats,
            opt_state=opt_state,
            target=target,
        )
        metrics = outputs.terms | norms
        if diagnostics_every:
            last = state.step + 1 == (total_steps or -1)
            metrics |= watch.measure(outputs, (state.step % diagnostics_every == 0) | last)
        if skip_nonfinite:
            good = jnp.isfinite(loss) & jnp.isfinite(norms["gradient_norm"])
            old_state = state.replace(step=new_state.step, skipped=state.skipped + 1)
            new_state = jax.tree.map(lambda a, b: jnp.where(good, a, b), new_state, old_state)
            metrics["skipped"] = new_state.skipped
        if "votes" in batch:
            metrics["votes"] = jnp.any(batch["votes"], axis=0)
        return new_state, metrics

    return jax.jit(
        step,
        donate_argnums=0,
        in_shardings=(replicated(mesh), sharded(mesh)),
        out_shardings=replicated(mesh),
    )


def _constrain(method: ModuleType, params: PyTree) -> PyTree:
    """Puts parameters back where the method wants them (SwAV's prototypes on the sphere)."""
    return method.constrain(params) if hasattr(method, "constrain") else params
