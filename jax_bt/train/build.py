"""What a config means: the objects of a run, for training, planning and viewing alike."""

import inspect
import traceback
from types import ModuleType
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.sharding import Mesh
from ml_collections import ConfigDict

from jax_bt import augment, methods, optim, schedules
from jax_bt import mesh as meshes
from jax_bt import step as steps
from jax_bt.errors import UsageError
from jax_bt.methods._networks import Networks
from jax_bt.train.state import TrainState


class Run(NamedTuple):
    """A config made concrete; everything below takes explicit arguments.

    Attributes:
      method: a module of ``methods/``.
      networks: encoder and heads.
      optimizer: an optax transformation.
      rates: learning-rate schedules by name, for the log.
      mesh: the mesh of all devices.
      recipes: one augmentation recipe a view.
      total_steps: updates of the whole run.
      steps_per_epoch: updates of one pass; the incomplete last batch is dropped.
      loss_options: keywords of ``method.loss``.
      target_options: keywords of ``method.init_target`` and ``method.update_target``.
    """

    method: ModuleType
    networks: Networks
    optimizer: optim.GradientTransformation
    rates: dict[str, schedules.Schedule]
    mesh: Mesh
    recipes: tuple[augment.Recipe, ...]
    total_steps: int
    steps_per_epoch: int
    loss_options: dict
    target_options: dict


def build(config: ConfigDict, train_size: int, mesh: Mesh) -> Run:
    """Makes the objects of a run.

    Args:
      config: fields of ``jax_bt.config.base``.
      train_size: examples of the training split.
      mesh: the mesh of all devices.

    Raises:
      UsageError: a value that does not fit; the message lists the valid ones.
    """
    try:
        return _build(config, train_size, mesh)
    except ValueError as error:
        raise UsageError(str(error)) from error


def _build(config: ConfigDict, train_size: int, mesh: Mesh) -> Run:
    meshes.check_divides(config.batch_size, mesh, config.micro_batches)
    if config.batch_size > train_size:
        raise ValueError(
            f"batch_size {config.batch_size} is larger than the {train_size} examples of "
            f"{config.data.name} {config.data.train}: use --config.batch_size={train_size} or less"
        )
    method = methods.load(config.method)
    views = recipes(config)
    methods.check_views(method, len(views))
    options = {name: dict(config[name]) for name in ("encoder", "heads", "loss", "target")}
    networks = methods.make_networks(
        method,
        options["encoder"],
        options["heads"],
        encoder_b=_second_encoder(config),
        micro_batches=config.micro_batches,
    )
    methods.check(method, loss=options["loss"], target=options["target"])
    steps_per_epoch = train_size // config.batch_size
    total_steps = config.steps or round(config.epochs * steps_per_epoch)
    optimizer, rates = _optimizer(config, steps_per_epoch, total_steps)
    return Run(
        method=method,
        networks=networks,
        optimizer=optimizer,
        rates=rates,
        mesh=mesh,
        recipes=views,
        total_steps=total_steps,
        steps_per_epoch=steps_per_epoch,
        loss_options=options["loss"],
        target_options=options["target"],
    )


def init_state(run: Run, config: ConfigDict) -> TrainState:
    """The state of step 0; a function of the config and its seed alone."""
    size = run.recipes[0].size
    return steps.init_state(
        run.method,
        run.networks,
        run.optimizer,
        run.mesh,
        seed=config.seed,
        image_shape=(size, size, 3),
        target_options=run.target_options,
    )


def train_step(run: Run, config: ConfigDict) -> steps.Step:
    """The compiled training step."""
    return steps.make_train_step(
        run.method,
        run.networks,
        run.optimizer,
        run.mesh,
        loss_options=run.loss_options,
        target_options=run.target_options,
        total_steps=run.total_steps,
        # Rounded up to steps that are written.
        diagnostics_every=-(-config.diagnostics_every // config.log_every) * config.log_every,
        gradient_scale=config.gradient_scale,
        skip_nonfinite=config.skip_nonfinite is not None,
        augment=_augment(run) if config.data.device_augment else None,
    )


def traced_step(run: Run, config: ConfigDict) -> steps.Step:
    """The training step, traced ahead: what does not fit together shows before a run has begun.

    Raises:
      UsageError: a value that a head, a loss or an optimiser refuses.
    """
    step = train_step(run, config)
    try:
        step.trace(*abstract(run, config))  # jax keeps it for the first call
    except ValueError as error:
        if not _raised_here(error):  # not a refusal but a bug: with all of its traceback
            raise
        raise UsageError(str(error)) from error
    return step


def _raised_here(error: BaseException) -> bool:
    """Whether the package itself raised it, not a library that it called."""
    *_, (frame, _) = traceback.walk_tb(error.__traceback__)
    return frame.f_globals["__name__"].partition(".")[0] == __name__.partition(".")[0]


def abstract(run: Run, config: ConfigDict) -> tuple[TrainState, dict[str, Any]]:
    """State and batch of a step as shapes and dtypes."""
    state = jax.eval_shape(lambda: init_state(run, config))
    dtype = jnp.uint8 if config.data.device_augment else jnp.float32
    views = tuple(
        jax.ShapeDtypeStruct((config.batch_size, recipe.size, recipe.size, 3), dtype)
        for recipe in run.recipes
    )
    return state, {"views": views, "index": jax.ShapeDtypeStruct((config.batch_size,), jnp.uint32)}


def _augment(run: Run):
    """What follows the crop, on the device: keyed by (seed, epoch, example index, view)."""

    def make(batch, key, step):
        key = jax.random.fold_in(key, step // run.steps_per_epoch)
        return augment.device.views(batch["views"], batch["index"], run.recipes, key)

    return make


def _second_encoder(config: ConfigDict) -> dict | None:
    """The second branch's encoder, or None where the branches share weights."""
    own = {name: value for name, value in config.encoder_b.items() if value is not None}
    if config.branches == "separate":
        return {**config.encoder, **own}
    if config.branches != "shared" or own:
        raise ValueError(
            f"branches={config.branches!r} with {len(own)} fields in encoder_b: it is 'shared', or "
            "'separate' for weights (and an encoder) of the second branch's own"
        )
    return None


def recipes(config: ConfigDict) -> tuple[augment.Recipe, ...]:
    """One recipe a view: those named or built, taken in turn if the config asks for more views.

    Raises:
      ValueError: an unknown recipe or part, or fewer than two views.
    """
    size = config.data.image_size
    if config.data.built:
        given = [augment.recipe_from({"size": size, **view}) for view in config.data.built]
    else:
        given = augment.recipes(config.data.recipe, size=size)
    count = config.data.views or len(given)
    if count < 2:
        raise ValueError(f"data.views={count}: a method compares at least 2 views")
    return tuple(given[i % len(given)] for i in range(count))


def _optimizer(config: ConfigDict, steps_per_epoch: int, total_steps: int):
    """The optimiser and its rates, which are base rate x batch / 256 at their peak."""
    options = dict(config.optimizer)
    warmup_steps = min(round(options.pop("warmup_epochs") * steps_per_epoch), total_steps)
    start, end = options.pop("warmup_fraction"), options.pop("final_fraction")
    drops, per_epoch = options.pop("drops"), options.pop("per_epoch")
    rates, peaks = {}, {}
    for name in ("learning_rate", "bias_learning_rate"):
        base = options.pop(name)
        if base is None:
            continue
        peak = peaks[name] = base * config.batch_size / 256
        if drops:
            at = [total_steps - round(epochs * steps_per_epoch) for epochs in drops]
            rate = schedules.warmup_drops(peak, warmup_steps, at, 0.2)
        else:
            rate = schedules.warmup_cosine(
                peak, warmup_steps, total_steps, peak * end, start_value=peak * start
            )
        rates[name] = schedules.every(steps_per_epoch, rate) if per_epoch else rate
    groups = {part: peaks["learning_rate"] for part in options.pop("constant")}
    accepted = inspect.signature(optim.OPTIMIZERS.get(options["name"], optim.make)).parameters
    options = {k: v for k, v in options.items() if k == "name" or k in accepted}
    return optim.make(**options, **rates, rate_groups=groups), rates
