"""Makes the training step; the only ``shard_map`` of training."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array
from jax.sharding import Mesh

from jax_bt import evaluate, optim, stats
from jax_bt.devices.mesh import AXIS, REPLICATED, SHARDED, replicated, sharded
from jax_bt.methods import Context, Method, Networks, Outputs
from jax_bt.train import accumulate, collapse
from jax_bt.train.state import TrainState, shardings

PyTree = Any
# What the run's key is folded with, so that no stream of random numbers repeats.
NETWORKS, TARGET, STEPS, VIEWS, ONLINE, EPOCHS = range(6)
# The classifier beside the encoder: plain SGD at the rate of solo-learn's.
ONLINE_OPTIMIZER = optim.sgd(0.1)


class Metrics(NamedTuple):
    """What a step tells of itself: replicated float32 scalars by name.

    Attributes:
      terms: the loss and its terms, as the method names them; "loss" is among them.
      norms: "gradient_norm", "update_norm" and "parameter_norm" (before the update), global l2.
      signals: the signals of collapse, NaN at steps that do not measure them.
      skipped: number of updates left out so far because they were not finite.
      online: loss and top-1 percent of the classifier beside the encoder, if there is one.
    """

    terms: dict[str, Array]
    norms: dict[str, Array]
    signals: dict[str, Array]
    skipped: Array
    online: dict[str, Array] = {}


Step = Callable[[TrainState, PyTree], tuple[TrainState, Metrics]]
Augment = Callable[[PyTree, Array, Array], tuple[Array, ...]]


def key_of(seed: int) -> Array:
    """The PRNG key of a seed of up to 64 bits, the same with and without jax's 64-bit mode."""
    words = jnp.array([seed >> 32 & 0xFFFFFFFF, seed & 0xFFFFFFFF], jnp.uint32)
    return jax.random.wrap_key_data(words, impl="threefry2x32")


def make_init_state(
    method: Method,
    networks: Networks,
    optimizer: optim.GradientTransformation,
    mesh: Mesh,
    *,
    total_steps: int,
    classes: int | None = None,
    examples: int = 0,
) -> Callable[[int], TrainState]:
    """Compiles the state of step 0: seed -> state on the mesh, the same for any number of devices.

    Everything random of a run derives from the seed, 0 to 2^64 - 1.

    Args:
      method: with its options.
      networks: encoder and heads.
      optimizer: from ``optim.make``.
      mesh: the mesh of all devices.
      total_steps: of the run.
      classes: of the labels, for a linear classifier beside the encoder; None for no classifier.
      examples: of the training split, each of which has a row in a method's bank.
    """

    def init(key: Array) -> TrainState:
        variables = networks.init(jax.random.fold_in(key, NETWORKS))
        variables["params"] = params = method.constrain(variables["params"])
        context = Context(None, 0, total_steps, jax.random.fold_in(key, TARGET))
        online = ()
        if classes is not None:
            width = networks.modules["encoder"].width_out
            classifier = evaluate.online_init(jax.random.fold_in(key, ONLINE), width, classes)
            online = {"params": classifier, "opt_state": ONLINE_OPTIMIZER.init(classifier)}
        return TrainState(
            step=jnp.zeros((), jnp.int32),
            params=params,
            batch_stats=variables["batch_stats"],
            opt_state=optimizer.init(params),
            target=method.init_target(networks, variables, context),
            key=key,
            online=online,
            skipped=jnp.zeros((), jnp.int32),
            bank=method.init_bank(networks, examples, context),
        )

    compiled = jax.jit(init, out_shardings=shardings(mesh))
    return lambda seed: compiled(key_of(seed))


def make_train_step(
    method: Method,
    networks: Networks,
    optimizer: optim.GradientTransformation,
    mesh: Mesh,
    *,
    total_steps: int,
    gradient_scale: float = 1.0,
    small_batches: int = 1,
    diagnostics_every: int = 0,
    skip_nonfinite: bool = False,
    augment: Augment | None = None,
) -> Step:
    """Compiles one step: (state, batch) -> (state, metrics).

    The gradient is taken OUTSIDE the map, with replication checks on: a forgotten reduction or an
    unsynchronised BatchNorm is then an error while tracing, never a wrong number. It is the exact
    gradient of the global batch's loss on any number of devices.

    Args:
      method: with its options.
      networks: encoder and heads.
      optimizer: from ``optim.make``.
      mesh: the mesh of all devices.
      total_steps: of the run.
      gradient_scale: factor on the gradient. The reference Barlow Twins code on W GPUs applies
        1/W of the true gradient; LARS hides that from the weights except against weight decay, but
        not from the unadapted one-dimensional parameters. 1/W reproduces it (docs/scaling.md).
      small_batches: number of batches with their own loss that an update averages
        (``accumulate``).
      diagnostics_every: steps between measurements of collapse, which the last step has as well;
        0 for none.
      skip_nonfinite: a step whose loss or gradient is not finite changes nothing but its number and
        the count of such steps.
      augment: (batch, key of the run, step) -> views: what is left to the device of making the
        views; by default the batch has them ready.

    Returns:
      The step. It takes a state, which it consumes (the buffers are donated), and a batch with
      "views", a tuple of (global batch, H, W, C) arrays sharded over the mesh, and "index", the
      (global batch,) indices of the examples, which may be missing; with a classifier beside the
      encoder "label", their (global batch,) int32 labels, negative for none.
    """

    def global_loss(params: PyTree, state: TrainState, batch: PyTree):
        if small_batches > 1:  # one sum over the devices behind the loop, not one in each turn
            params = stats.vary(params, AXIS)
        elif networks.micro_batches == 1:  # a long sum stays float32
            params = _cast_once(networks, params)
        variables = {"params": params, "batch_stats": state.batch_stats}

        def loss(batch: PyTree, key: Array):
            views, index, rows = batch
            context = Context(AXIS, state.step, total_steps, key, index, rows)
            return method.loss(networks, variables, state.target, views, context)

        return accumulate.in_small_batches(loss, small_batches, batch, _step_key(state))

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
    value_and_gradient = jax.value_and_grad(mapped_loss, has_aux=True)

    def step(state: TrainState, batch: PyTree) -> tuple[TrainState, Metrics]:
        views, index = batch["views"], batch.get("index")
        if augment is not None:
            views = augment(batch, jax.random.fold_in(state.key, VIEWS), state.step)
        rows = jax.tree.map(lambda x: x[index], state.bank)
        rest = state.replace(params=(), opt_state=(), online=(), bank=())
        (loss, outputs), grads = value_and_gradient(state.params, rest, (views, index, rows))
        grads = jax.tree.map(lambda g: g * gradient_scale, grads)
        params, opt_state, norms = optim.update(
            optimizer, grads, state.opt_state, state.params, step=state.step
        )
        params = method.constrain(params)
        context = Context(None, state.step, total_steps, _step_key(state), index)
        online, of_online = _online_step(state.online, outputs, batch, state.step)
        new_state = state.replace(
            step=state.step + 1,
            params=params,
            batch_stats=outputs.batch_stats,
            opt_state=opt_state,
            target=method.update_target(state.target, params, outputs, context),
            online=online,
            bank=method.update_bank(state.bank, outputs, context),
        )
        if skip_nonfinite:
            good = jnp.isfinite(loss) & jnp.isfinite(norms["gradient_norm"])
            kept = state.replace(step=new_state.step, skipped=state.skipped + 1)
            new_state = jax.tree.map(lambda a, b: jnp.where(good, a, b), new_state, kept)
        signals = {}
        if diagnostics_every:
            due = (state.step % diagnostics_every == 0) | (state.step + 1 == total_steps)
            signals = collapse.measure(outputs, due)
        return new_state, Metrics(outputs.terms, norms, signals, new_state.skipped, of_online)

    return jax.jit(
        step,
        donate_argnums=0,
        in_shardings=(shardings(mesh), sharded(mesh)),
        out_shardings=(shardings(mesh), replicated(mesh)),
    )


def _online_step(
    online: PyTree, outputs: Outputs, batch: PyTree, step: Array
) -> tuple[PyTree, dict[str, Array]]:
    """One step of the classifier on the first view's representations; () stays ()."""
    if not jax.tree.leaves(online):
        return online, {}
    gradient = jax.grad(evaluate.online_loss, has_aux=True)
    grads, told = gradient(online["params"], outputs.representations[0], batch["label"])
    params, opt_state, _ = optim.update(
        ONLINE_OPTIMIZER, grads, online["opt_state"], online["params"], step=step
    )
    return {"params": params, "opt_state": opt_state}, told


def _cast_once(networks: Networks, params: PyTree) -> PyTree:
    """Kernels of bfloat16 networks as they are multiplied, cast once for all views.

    The views' gradients of a kernel, bfloat16 each, are then summed and reduced over the devices as
    one bfloat16 array: half the bytes.
    """

    def cast(name: str, tree: PyTree) -> PyTree:
        dtype = getattr(networks.modules.get(name), "dtype", None)  # a config's is a string
        if dtype is None or jnp.dtype(dtype) != jnp.bfloat16:
            return tree
        return jax.tree_util.tree_map_with_path(
            lambda path, x: stats.vary(x.astype(jnp.bfloat16), AXIS) if _is_kernel(path) else x,
            tree,
        )

    return {name: cast(name, tree) for name, tree in params.items()}


def _is_kernel(path: tuple) -> bool:
    return bool(path) and getattr(path[-1], "key", None) == "kernel"


def _step_key(state: TrainState) -> Array:
    return jax.random.fold_in(jax.random.fold_in(state.key, STEPS), state.step)
