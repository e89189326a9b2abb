"""What a run is: its objects, made once by ``build`` and only read after that."""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax.sharding import Mesh

from jax_bt import augment, optim
from jax_bt.devices.mesh import sharded
from jax_bt.methods import Method, Networks, Variables
from jax_bt.train.epoch import make_epoch_start
from jax_bt.train.state import TrainState, shardings
from jax_bt.train.step import Augment, Step, make_init_state, make_train_step


@dataclasses.dataclass(frozen=True)
class Data:
    """What a run reads.

    Attributes:
      name: data set, folder or file, as the user wrote it.
      data_dir: where TFDS data sets are prepared, or None for TFDS's default.
      download: let TFDS download and prepare a missing data set.
      train: split to train on.
      probe: split whose labels the probes see.
      test: split to evaluate on.
      batch_size: examples per step, over all devices.
      seed: of order and views.
      recipes: one per view: how it is made.
      recipe: what the recipes are called.
      on_device: whether the compiled step does what follows the crop.
    """

    name: str
    data_dir: str | None
    download: bool
    train: str
    probe: str
    test: str
    batch_size: int
    seed: int
    recipes: tuple[augment.View, ...]
    recipe: str
    on_device: bool


@dataclasses.dataclass(frozen=True)
class Checkpoints:
    """When a run saves, and how many checkpoints stay: fields as in ``config.FIELDS``."""

    every_steps: int
    every_minutes: float | None
    keep: int
    keep_every: int | None


@dataclasses.dataclass(frozen=True)
class Initial:
    """What a run starts from: fields as in ``config.FIELDS``."""

    weights: str | None
    parts: tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """How a run is evaluated: fields as in ``config.FIELDS``.

    Attributes:
      protocols: those on features.
      pairs: those on both branches' embeddings.
    """

    protocols: tuple[str, ...]
    pairs: tuple[str, ...]
    baselines: bool
    checkpoints: bool
    batch_size: int


@dataclasses.dataclass(frozen=True)
class Run:
    """A config made concrete.

    Attributes:
      method: the method with its options.
      networks: encoder and heads.
      optimizer: an optax transformation.
      rates: learning-rate schedules by name, for the log.
      mesh: the mesh of all devices.
      data: what the run reads.
      initial: the weights it starts from.
      checkpoints: when it saves.
      evaluation: how it is evaluated.
      total_steps: updates of the whole run.
      examples: of the training split.
      steps_per_epoch: updates of one pass; the incomplete last batch is dropped.
      gradient_scale: factor on the gradient.
      small_batches: number of batches with their own loss that an update averages.
      skip_nonfinite: number of non-finite updates that may be left out; None for none.
      log_every: steps between lines of the log.
      classes: number of classes of the classifier beside the encoder; None for no classifier.
      evaluate_every: steps between evaluations while training; None for none.
      diagnostics_every: steps between signals of collapse, a multiple of ``log_every``; 0: never.
      record: the config as JSON types, to be kept with the run.
    """

    method: Method
    networks: Networks
    optimizer: optim.GradientTransformation
    rates: dict[str, optim.schedules.Schedule]
    mesh: Mesh
    data: Data
    initial: Initial
    checkpoints: Checkpoints
    evaluation: Evaluation
    total_steps: int
    examples: int
    steps_per_epoch: int
    gradient_scale: float
    small_batches: int
    skip_nonfinite: int | None
    log_every: int
    diagnostics_every: int
    classes: int | None
    evaluate_every: int | None
    record: dict[str, Any]

    def init_state(self) -> TrainState:
        """The state of step 0; a function of the config and its seed alone."""
        return self._init_state(self.data.seed)

    @functools.cached_property
    def _init_state(self) -> Callable[[int], TrainState]:
        """Traced once, for the shapes and for the values."""
        return make_init_state(
            self.method,
            self.networks,
            self.optimizer,
            self.mesh,
            total_steps=self.total_steps,
            classes=self.classes,
            examples=self.examples,
        )

    @functools.cached_property
    def start_epoch(self) -> Callable[[TrainState], TrainState]:
        """What the method does before the first step of each epoch, compiled when first called."""
        return make_epoch_start(self.method, self.mesh, total_steps=self.total_steps)

    @functools.cached_property
    def train_step(self) -> Step:
        """The training step, traced and compiled when it is first called."""
        return make_train_step(
            self.method,
            self.networks,
            self.optimizer,
            self.mesh,
            total_steps=self.total_steps,
            gradient_scale=self.gradient_scale,
            small_batches=self.small_batches,
            diagnostics_every=self.diagnostics_every,
            skip_nonfinite=self.skip_nonfinite is not None,
            augment=self._augment() if self.data.on_device else None,
        )

    @functools.cached_property
    def represent(self) -> Callable[[Variables, jax.Array], jax.Array]:
        """(variables, normalised images) -> representations, compiled once per shape."""
        return jax.jit(self.networks.represent)

    def trace(self) -> tuple[str, ...]:
        """Traces the step, so that what does not fit together shows before a run has begun.

        Returns:
          The names of the loss and its terms.

        Raises:
          UsageError: a value that a head, a loss or an optimiser refuses.
        """
        _, metrics = jax.eval_shape(self.train_step, *self.abstract())
        return ("loss", *(name for name in metrics.terms if name != "loss"))

    def abstract(self) -> tuple[TrainState, dict[str, Any]]:
        """State and batch of a step as shapes, dtypes and shardings: what it is traced for."""
        count = self.data.batch_size

        def of_batch(shape: tuple[int, ...], dtype: Any) -> jax.ShapeDtypeStruct:
            return jax.ShapeDtypeStruct((count, *shape), dtype, sharding=sharded(self.mesh))

        views = tuple(
            of_batch(recipe.shape, recipe.host_dtype if self.data.on_device else recipe.dtype)
            for recipe in self.data.recipes
        )
        batch: dict[str, Any] = {"views": views, "index": of_batch((), jnp.uint32)}
        if self.classes is not None:
            batch["label"] = of_batch((), jnp.int32)
        state = jax.eval_shape(self.init_state)
        lies = jax.tree.broadcast(shardings(self.mesh), state)
        state = jax.tree.map(
            lambda x, s: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=s), state, lies
        )
        return state, batch

    def _augment(self) -> Augment:
        """What follows the crop: keyed by (seed, epoch, example index, view)."""

        def make(batch: dict[str, Any], key: jax.Array, step: jax.Array) -> tuple[jax.Array, ...]:
            key = jax.random.fold_in(key, step // self.steps_per_epoch)
            return augment.device.views(batch["views"], batch["index"], self.data.recipes, key)

        return make
