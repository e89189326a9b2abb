"""Loads a trained encoder from a run or a file of weights, and calls it with images."""

import functools
import hashlib
import json
import os
import zlib
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from jax import Array
from jax.sharding import Mesh
from numpy.typing import ArrayLike

from jax_bt import config, data, evaluate, models, weights
from jax_bt.devices.mesh import make_mesh, replicated, sharded, to_global
from jax_bt.errors import UsageError, WeightsError
from jax_bt.methods import Variables
from jax_bt.train import checkpoint, workdir
from jax_bt.train.build import build
from jax_bt.train.run import Run
from jax_bt.weights import Card

WEIGHTS, CARD = "encoder.safetensors", "card.json"


class Encoder:
    """An encoder with its weights and what it must be fed.

    Attributes:
      module: Flax module, from normalised images (N, H, W, C) to features (N, F).
      variables: {"params": ..., "batch_stats": ...} of the module.
      card: size, normalisation and origin.
      head: (module, variables) of the projector, where they were loaded, else None.
    """

    def __init__(
        self, module: Any, variables: Variables, card: Card, head: tuple[Any, Any] | None = None
    ):
        self.module, self.variables, self.card, self.head = module, variables, card, head

    def __call__(self, images: ArrayLike, *, batch: int = 256, layer: str = "pooled") -> np.ndarray:
        """Features of images, with the resize and the normalisation of the training's evaluation.

        Args:
          images: (N, H, W, C) uint8, or floats in [0, 1]; any size.
          batch: images per step.
          layer: "pooled", one of ``layers()`` (its mean over space), or "embedding" (the
            projector's output, where it was loaded).

        Returns:
          (N, F) float32, in order.

        Raises:
          DataError: images of another shape, dtype or range.
          UsageError: a layer that there is not.
        """
        images = np.asarray(images)
        source = data.from_arrays({"images": images}, name="images")
        batches = data.examples(
            source, "images", recipe=self.card.evaluation, batch=min(batch, len(images))
        )
        return evaluate.extract(self.apply(layer), batches)[0]

    def apply(self, layer: str = "pooled", mesh: Mesh | None = None) -> Callable[[Any], Array]:
        """The compiled function from normalised images (B, S, S, C) to features (B, F).

        Args:
          layer: as of a call.
          mesh: devices, each of which takes its share of the batch; None for those of this process.
            For those of several processes the batch is a global array.

        Raises:
          UsageError: a layer that there is not.
        """
        mesh = make_mesh(jax.local_devices()) if mesh is None else mesh
        function = jax.jit(self._function(layer))
        variables = jax.device_put(jax.device_get(self._own), replicated(mesh))

        def call(images: Any) -> Array:
            if isinstance(images, Array) and images.sharding == sharded(mesh):
                return function(variables, images)
            missing = -len(images) % mesh.size
            padded = np.concatenate([images, np.repeat(images[-1:], missing, axis=0)])
            return function(variables, to_global(mesh, padded))[: len(images)]

        return call

    def width(self, layer: str = "pooled") -> int:
        """Number of features F of a layer.

        Args:
          layer: as of a call.

        Raises:
          UsageError: a layer that there is not.
        """
        return jax.eval_shape(self._function(layer), self._own, self._example).shape[1]

    def encode(self, variables: Variables, images: Array) -> Array:
        """Features (B, F) of normalised images, in evaluation mode."""
        return self.module.apply(variables, images, train=False)

    def encode_maps(self, variables: Variables, images: Array) -> Array:
        """Maps (B, h, w, F) of the last stage, in evaluation mode.

        Raises:
          UsageError: an encoder without maps of stages.
        """
        _, seen = self.module.apply(variables, images, train=False, mutable=["intermediates"])
        stages = sorted(name for name in seen["intermediates"] if name.startswith("layer"))
        if not stages:
            raise UsageError("this encoder has no maps of stages: the protocol needs a ResNet's")
        return seen["intermediates"][stages[-1]][0]

    def train_apply(
        self, variables: Variables, images: Array, train: bool
    ) -> tuple[Array, Variables]:
        """Features, and the batch statistics that training mode leaves."""
        if not train:
            return self.encode(variables, images), variables.get("batch_stats", {})
        features, new = self.module.apply(variables, images, train=True, mutable=["batch_stats"])
        return features, new.get("batch_stats", {})

    def fingerprint(self) -> int:
        """CRC-32 of the weights."""
        value = 0
        for leaf in jax.tree.leaves(jax.device_get(self.variables)):
            value = zlib.crc32(np.ascontiguousarray(leaf).reshape(-1).view(np.uint8), value)
        return value

    def layers(self) -> tuple[str, ...]:
        """Names of the maps that the encoder shows: "layer1", ... or, of a ViT, "block1", ..."""
        function = functools.partial(self.module.apply, train=False, mutable=["intermediates"])
        _, seen = jax.eval_shape(function, self.variables, self._example)
        return tuple(name for name, maps in seen["intermediates"].items() if maps[0].ndim == 4)

    def state_dict(self, layout: str | None = None) -> dict[str, np.ndarray]:
        """The weights by public names: those of torchvision for ResNets, timm for others."""
        return weights.to_state_dict(self.module, jax.device_get(self.variables), layout)

    def _function(self, layer: str) -> Callable[[Any, Any], Array]:
        have = ["pooled", *self.layers(), *["embedding"] * (self.head is not None)]
        if layer not in have:
            raise UsageError(f"--layer={layer}: choose one of {', '.join(have)}")
        return functools.partial(_features, self.module, self.head and self.head[0], layer)

    @property
    def _own(self) -> tuple[Variables, Variables | None]:
        return self.variables, self.head and self.head[1]

    @property
    def _example(self) -> jax.ShapeDtypeStruct:
        side = self.card.image_size
        return jax.ShapeDtypeStruct((1, side, side, len(self.card.mean)), np.float32)


def _features(module: Any, head: Any, layer: str, variables: tuple, images: Array) -> Array:
    own, of_head = variables
    pooled, seen = module.apply(own, images, train=False, mutable=["intermediates"])
    if layer == "pooled":
        return pooled
    if layer == "embedding":
        return head.apply(of_head, pooled, train=False)
    return jax.numpy.mean(seen["intermediates"][layer][0].astype(pooled.dtype), axis=(1, 2))


def load(path: str | os.PathLike[str], *, step: int | None = None) -> Encoder:
    """Loads a trained encoder.

    Args:
      path: a run's folder, or a file of weights of a ResNet, ViT or ConvNeXt: .safetensors, .npz,
        .pth, .pt, .pth.tar or .ckpt in a public layout (``weights.from_state_dict``) under any
        known prefix (``weights.read``).
      step: of a run, the checkpoint of that step in place of the finished encoder; 0 stands for
        the newest checkpoint. The projector is then loaded too.

    Returns:
      The encoder; call it with images.

    Raises:
      WeightsError: nothing there, or nothing usable.
      CheckpointError: the checkpoint is damaged or of another model.
    """
    folder = workdir.path(path)
    if not folder.is_dir():
        return _of_file(folder)
    if step is None and (folder / WEIGHTS).exists():
        card = Card.from_json((folder / CARD).read_text(), str(folder / CARD))
        return _of_arrays(weights.read(folder / WEIGHTS), card)
    return _of_checkpoint(folder, step or 0)


def _of_file(path: Any) -> Encoder:
    if not path.exists():
        raise WeightsError(f"{path} does not exist: give a run's folder or a file of weights")
    arrays = weights.read(path)
    exported = path.with_suffix(".json")
    beside = exported if exported.exists() else path.parent / CARD
    card = Card.from_json(beside.read_text(), str(beside)) if beside.exists() else Card()
    if card.encoder:
        return _of_arrays(arrays, card)
    module, channels = weights.module_of(arrays), weights.channels_of(arrays)
    variables = weights.from_state_dict(module, arrays)
    if channels != len(card.mean):
        raise WeightsError(
            f"{path} takes images of {channels} channels, and without a {CARD} beside it nobody "
            "knows their mean and deviation"
        )
    return Encoder(module, variables, card)


def _of_arrays(arrays: dict[str, np.ndarray], card: Card) -> Encoder:
    module = models.make(**card.encoder)
    return Encoder(module, weights.from_state_dict(module, arrays), card)


def _of_checkpoint(folder: Any, step: int) -> Encoder:
    run = run_of(folder)
    like = jax.eval_shape(run.init_state)
    state = checkpoint.read(folder / "checkpoints", like, step=step or None)
    return of_run(run, state.variables, int(state.step))


def run_of(folder: Any) -> Run:
    """The run that a folder records, built anew on this machine's devices.

    Raises:
      WeightsError: the folder holds no run.
    """
    recorded, length = folder / workdir.CONFIG, folder / workdir.RUN
    if not recorded.exists() or not length.exists():
        raise WeightsError(f"{folder} holds no run: it has no {workdir.CONFIG}")
    record, run = json.loads(recorded.read_text()), json.loads(length.read_text())
    mesh = make_mesh(jax.devices()[:1])
    c = config.of_record(record)
    known = {name: run["data"].get(name) for name in ("channels", "classes", "words")}
    return build(c, mesh, train_size=run["data"]["size"], **known)


def of_run(run: Run, variables: Variables, step: int) -> Encoder:
    """The encoder and projector of a run's variables, with their card."""
    recipe = run.data.recipes[0]
    own = run.record["encoder"].items()
    encoder = {k: v for k, v in own if k != "norm_group" and v is not None}
    text = json.dumps(run.record, sort_keys=True)
    card = Card(
        encoder=encoder,
        image_size=recipe.size,
        mean=tuple(recipe.mean),
        std=tuple(recipe.std),
        eval_fraction=recipe.eval_fraction,
        eval_method=recipe.eval_method,
        eval_squash=recipe.eval_squash,
        recipe=run.data.recipe,
        method=run.method.name,
        dataset=run.data.name,
        step=step,
        config_hash=hashlib.sha256(text.encode()).hexdigest()[:16],
    )

    def part(name: str) -> Variables:
        return {kind: tree[name] for kind, tree in variables.items() if tree.get(name)}

    module, projector = (_alone(run.networks.modules[name]) for name in ("encoder", "projector"))
    return Encoder(module, part("encoder"), card, (projector, part("projector")))


def _alone(module: Any) -> Any:
    """The module without the mesh of its training."""
    fields = [name for name in ("axis_name", "norm_group") if hasattr(module, name)]
    return module.clone(**dict.fromkeys(fields))
