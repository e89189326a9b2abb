"""Turns a config into a Run, once: reads every field, checks it, and makes the objects of a run.

ConfigDict ends here. Everything below takes a ``Run`` or explicit arguments.
"""

import dataclasses
import json
import math
from typing import Any

import jax
from jax.sharding import Mesh
from ml_collections import ConfigDict

from jax_bt import augment, config, evaluate, methods, models, optim
from jax_bt.devices.mesh import AXIS, check_divides
from jax_bt.errors import UsageError
from jax_bt.methods import Method
from jax_bt.train.run import Checkpoints, Data, Evaluation, Initial, Run


def build(
    c: ConfigDict,
    mesh: Mesh,
    *,
    train_size: int,
    channels: int = 3,
    classes: int | None = None,
    words: int | None = None,
) -> Run:
    """Makes the objects of a run and checks all that can be checked without tracing its step.

    Args:
      c: fields of ``config.FIELDS`` and the options of the method.
      mesh: the mesh of all devices.
      train_size: examples of the training split.
      channels: of the images.
      classes: of the labels of the training split; None without labels.
      words: of the vocabulary of the captions; None for the encoder's own.

    Returns:
      The run.

    Raises:
      UsageError: a value that does not fit; the message names the field and what would fit.
    """
    data = read_data(c)
    data = dataclasses.replace(data, recipes=augment.for_channels(data.recipes, channels))
    check_divides(c.batch_size, mesh, c.micro_batches, c.small_batches)
    if c.batch_size > train_size:
        raise UsageError(
            f"batch_size {c.batch_size} is larger than the {train_size} examples of "
            f"{data.name} {data.train}: use --config.batch_size={train_size} or less"
        )
    module = methods.load(c.method)
    method = Method(module, loss_options=dict(c.loss), target_options=dict(c.target))
    method.check_views(len(data.recipes), [recipe.modality for recipe in data.recipes])
    encoder, encoder_b = _encoders(c, words)
    inputs = _inputs(data.recipes, encoder, encoder_b)
    networks = methods.make_networks(
        module,
        encoder,
        dict(c.heads),
        encoder_b=encoder_b,
        inputs=inputs[0],
        inputs_b=inputs[1],
        micro_batches=c.micro_batches,
    )
    steps_per_epoch = train_size // c.batch_size
    total_steps = c.steps or round(c.epochs * steps_per_epoch)
    if total_steps < 1:
        raise UsageError(
            f"epochs={c.epochs:g}: that is no step at {steps_per_epoch} steps per epoch; "
            "give more epochs, or --config.steps"
        )
    optimizer, rates = _optimizer(c, steps_per_epoch, total_steps)
    return Run(
        method=method,
        networks=networks,
        optimizer=optimizer,
        rates=rates,
        mesh=mesh,
        data=data,
        initial=_initial(c),
        checkpoints=Checkpoints(**c.checkpoint),
        evaluation=_evaluation(c),
        total_steps=total_steps,
        examples=train_size,
        steps_per_epoch=steps_per_epoch,
        gradient_scale=c.gradient_scale,
        small_batches=c.small_batches,
        skip_nonfinite=c.skip_nonfinite,
        log_every=c.log_every,
        # Rounded up to steps that are written.
        diagnostics_every=math.ceil(c.diagnostics_every / c.log_every) * c.log_every,
        classes=classes if c.evaluate.online else None,
        evaluate_every=c.evaluate.every and max(1, round(c.evaluate.every * steps_per_epoch)),
        record=json.loads(c.to_json_best_effort()),
    )


def read_data(c: ConfigDict) -> Data:
    """What a run reads, without reading it.

    Raises:
      UsageError: a field out of its range, an unknown recipe or part, or fewer than two views.
    """
    config.check(c)
    recipes, name = _recipes(c)
    return Data(
        name=c.data.name,
        data_dir=c.data.data_dir,
        download=c.data.download,
        train=c.data.train,
        probe=c.evaluate.train or c.data.train,
        test=c.data.test,
        batch_size=c.batch_size,
        seed=c.seed,
        recipes=recipes,
        recipe=name,
        on_device=c.data.device_augment,
    )


def _recipes(c: ConfigDict) -> tuple[tuple[augment.View, ...], str]:
    """One recipe per view: those named or built, in turn if the config asks for more views."""
    size = c.data.image_size
    if c.data.built:
        given = [augment.view_from(view, size) for view in c.data.built]
    else:
        given = augment.recipes(c.data.recipe, size=size)
    count = c.data.views or len(given)
    if count < 2:
        raise UsageError(f"{count} view: a method compares at least 2; use --config.data.views=2")
    name = "recipe of its own" if c.data.built else f"recipe {c.data.recipe}"
    return tuple(given[i % len(given)] for i in range(count)), name


def _inputs(
    recipes: tuple[augment.View, ...], encoder: Any, encoder_b: Any
) -> tuple[tuple[int, ...], tuple[int, ...] | None]:
    """Shapes of the views that initialise the branches, which views meet in turn.

    Raises:
      UsageError: a view of a modality that its branch's encoder does not take, or a first view that
        is no image.
    """
    branches = [encoder] if encoder_b is None else [encoder, encoder_b]
    for i, recipe in enumerate(recipes):
        takes = models.modalities(branches[i % len(branches)])
        if recipe.modality not in takes:
            raise UsageError(
                f"view {i} is of modality {recipe.modality!r}, and its encoder takes "
                f'{" or ".join(map(repr, takes))}: set branches="separate" and encoder_b.name'
            )
    if not isinstance(recipes[0], augment.Recipe):
        raise UsageError("the first view is no image: put it first, it is what is evaluated")
    return recipes[0].shape, recipes[1].shape if encoder_b is not None else None


def _encoders(c: ConfigDict, words: int | None) -> tuple[Any, Any]:
    """The encoder, and the second branch's own where the branches are separate."""
    first = dict(c.encoder)
    if first["dtype"] == "float64" and not jax.config.jax_enable_x64:
        raise UsageError("encoder.dtype=float64 needs JAX_ENABLE_X64=1 in the environment")
    own = {name: value for name, value in c.encoder_b.items() if value is not None}
    if c.branches == "shared" and own:
        fields = ", ".join(f"encoder_b.{name}={value}" for name, value in own.items())
        raise UsageError(
            f"{fields}: the branches share one encoder; use --config.branches=separate"
        )
    encoder = _encoder(first, words)
    if c.branches == "shared":
        return encoder, None
    if own.get("name", first["name"]) != first["name"]:  # another encoder has other options
        first = {"dtype": first["dtype"]}
    return encoder, _encoder({**first, **own}, words)


def _encoder(options: dict[str, Any], words: int | None) -> Any:
    encoder = models.make(**options, axis_name=AXIS)
    return encoder.clone(vocabulary=words) if words and hasattr(encoder, "vocabulary") else encoder


def _optimizer(
    c: ConfigDict, steps_per_epoch: int, total_steps: int
) -> tuple[optim.GradientTransformation, dict[str, optim.schedules.Schedule]]:
    """The optimiser and its rates, which are base rate x batch / 256 at their peak."""
    given = c.optimizer
    warmup_steps = round(given.warmup_epochs * steps_per_epoch)
    if warmup_steps > total_steps:
        raise UsageError(
            f"optimizer.warmup_epochs={given.warmup_epochs:g} is longer than the run of "
            f"{total_steps / steps_per_epoch:.4g} epochs: give less, or train longer"
        )
    rates, peaks = {}, {}
    for name in ("learning_rate", "bias_learning_rate"):
        if given[name] is None:
            continue
        peak = peaks[name] = given[name] * c.batch_size / 256
        if given.drops:
            at = [total_steps - round(epochs * steps_per_epoch) for epochs in given.drops]
            if min(at) < 0:
                raise UsageError(
                    f"optimizer.drops={given.drops}: the run has "
                    f"{total_steps / steps_per_epoch:.4g} epochs"
                )
            rate = optim.schedules.warmup_drops(peak, warmup_steps, at, 0.2)
        else:
            rate = optim.schedules.warmup_cosine(
                peak,
                warmup_steps,
                total_steps,
                peak * given.final_fraction,
                start_value=peak * given.warmup_fraction,
            )
        rates[name] = optim.schedules.every(steps_per_epoch, rate) if given.per_epoch else rate
    valid = config.optimizer_options()
    options = {name: given[name] for name in valid if given[name] is not None}
    optimizer = optim.make(
        given.name,
        **rates,
        rates={"constant": peaks["learning_rate"]},
        rules=given.rules,
        **options,
    )
    return optimizer, rates


def _initial(c: ConfigDict) -> Initial:
    unknown = set(c.init.parts) - {"encoder", "projector"}
    if unknown or not c.init.parts:
        raise UsageError(f"init.parts={c.init.parts}: choose from encoder, projector")
    return Initial(c.init.weights, c.init.parts)


def _evaluation(c: ConfigDict) -> Evaluation:
    """Raises UsageError for a protocol that does not exist or is named twice."""
    protocols = c.evaluate.protocols
    for protocol in protocols:
        evaluate.check_protocol(protocol)
        if protocols.count(protocol) > 1:
            raise UsageError(f"evaluate.protocols={protocols}: {protocol!r} is there twice")
    pairs = tuple(name for name in protocols if evaluate.find(name).module.NEEDS == "pairs")
    protocols, e = tuple(name for name in protocols if name not in pairs), c.evaluate
    return Evaluation(protocols, pairs, e.baselines, e.checkpoints, e.batch_size)
