"""Trains encoder and classifier together on a part of the labels: semi-supervised evaluation."""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.sharding import Mesh

from jax_bt import optim
from jax_bt.devices.mesh import replicated
from jax_bt.evaluate._accuracy import accuracies, cross_entropy, hits
from jax_bt.evaluate._finetune_numbers import PRESETS as PRESETS
from jax_bt.evaluate._finetune_numbers import FineTuning
from jax_bt.evaluate._frozen import Batches, PyTree, on_devices, results
from jax_bt.evaluate._placement import exact, mesh_or_own, padded
from jax_bt.evaluate.linear_sgd import linear, linear_init
from jax_bt.stats import wide

TITLE = "fine-tuning"
NEEDS = "encoder"
# (variables, images, train) -> features (B, F), new running statistics
Apply = Callable[[PyTree, Array, bool], tuple[Array, PyTree]]


class State(NamedTuple):
    """Where the training stands between two epochs.

    Attributes:
      epoch: number of epochs done.
      variables: {"params": {"encoder", "head"}, "batch_stats": of the encoder}.
      opt_state: of the optimiser.
      history: one record per epoch: {"epoch", "all": {"rate", "loss", "top1", "top5"}}; the rate is
        the head's.
    """

    epoch: int
    variables: PyTree
    opt_state: PyTree
    history: tuple[dict[str, Any], ...] = ()


def run(
    apply: Apply,
    variables: PyTree,
    train: Callable[[int], Batches],
    test: Callable[[], Batches],
    preset: FineTuning,
    *,
    classes: int,
    mesh: Mesh | None = None,
    seed: int = 0,
    resume: Callable[[State], State] | None = None,
    on_epoch: Callable[[State], None] | None = None,
) -> dict[str, Any]:
    """Trains encoder and linear classifier by SGD, each at a rate of its own.

    The encoder is in training mode: batch statistics normalise, over ``preset.norm_group`` images
    each, as on the papers' GPUs, and move the running ones (by their mean over the groups), which
    the tests use. The results are the same on any number of devices.

    Args:
      apply: (variables, images, train) -> features (B, F) and the new "batch_stats"; without an
        axis name, since groups of images stand in for devices.
      variables: {"params", "batch_stats"} of the encoder where the training starts.
      train: epoch -> this process's batches {"image", "label"} of the labelled part, with new views
        in every epoch.
      test: gives this process's batches to test on, once per epoch.
      preset: the numbers.
      classes: number of classes K.
      mesh: the devices to use; None for those of this process.
      seed: of the classifier's weights, N(0, 0.01^2).
      resume: from the state of epoch 0 to the one to go on from, of the same structure.
      on_epoch: called after every epoch with the new state.

    Returns:
      {"top1", "top5"} of the best epoch, each on its own, {"last_top1", "last_top5"}, "history".

    Raises:
      DataError: a label that is no class.
      UsageError: a batch of several processes that does not divide over their devices.
      ValueError: no batches.

    Reference:
      facebookresearch/barlowtwins evaluate.py --weights finetune; Zbontar et al. 2021, table 2.
    """
    mesh = mesh_or_own(mesh)
    state = State(0, *_start(apply, on_devices(mesh, variables), test, preset, classes, seed))
    state = state if resume is None else resume(state)
    state = state._replace(
        variables=on_devices(mesh, state.variables), opt_state=on_devices(mesh, state.opt_state)
    )
    jit = functools.partial(jax.jit, out_shardings=replicated(mesh))
    step = jit(functools.partial(_step, apply, preset))
    test_step = jit(functools.partial(_test_step, apply))
    for epoch in range(state.epoch, preset.epochs):
        factor = preset.factor(epoch)
        rates = {"head": factor * preset.head_rate, "encoder": factor * preset.encoder_rate}
        variables, opt_state, losses = state.variables, state.opt_state, []
        for batch in train(epoch):
            placed = exact(mesh, batch, classes)
            variables, opt_state, loss = step(variables, opt_state, rates, **placed)
            losses.append(loss)
            jax.block_until_ready(losses[-2:][0])
        if not losses:
            raise ValueError(f"no batches to train on in epoch {epoch}")
        counts = [test_step(variables, **batch) for batch in padded(mesh, test(), classes)]
        mean_loss = float(np.mean([float(loss) for loss in losses]))
        line = {"rate": rates["head"], "loss": mean_loss, **accuracies(counts)}
        history = (*state.history, {"epoch": epoch, "all": line})
        state = State(epoch + 1, variables, opt_state, history)
        if on_epoch is not None:
            on_epoch(state)
    found = results(state.history)
    return {key: value for key, value in found.items() if key not in ("setting", "settings")}


def _optimizer(preset: FineTuning, rates: dict[str, Any]) -> optim.GradientTransformation:
    return optim.sgd(
        rates["head"],
        preset.weight_decay,
        nesterov=preset.nesterov,
        bias_learning_rate=rates["head"],
        rules=(("^encoder/", {"rate": "encoder"}),),
        rates={"encoder": rates["encoder"]},
    )


def _start(apply, variables, test, preset, classes, seed) -> tuple[PyTree, PyTree]:
    image = next(iter(test()), {"image": None})["image"]
    if image is None:
        raise ValueError("no batches to test on: the split is empty")
    one = jax.ShapeDtypeStruct((1, *image.shape[1:]), image.dtype)
    features, _ = jax.eval_shape(functools.partial(apply, train=False), variables, one)
    head = linear_init(classes, jax.random.key(seed), features)["params"]
    params = {"encoder": variables["params"], "head": head}
    opt_state = _optimizer(preset, {"head": 0.0, "encoder": 0.0}).init(params)
    return {"params": params, "batch_stats": variables.get("batch_stats", {})}, opt_state


def _features(apply: Apply, variables: PyTree, images: Array, group: int) -> tuple[Array, PyTree]:
    """Features of groups that do not see each other, and the mean of their running statistics."""
    encoder = {
        "params": variables["params"]["encoder"],
        "batch_stats": variables["batch_stats"],
    }
    groups = images.reshape(-1, group, *images.shape[1:])
    features, stats = jax.vmap(lambda x: apply(encoder, x, True))(groups)
    features = wide(features.reshape(len(images), -1))
    return features, jax.tree.map(lambda s: jnp.mean(s, axis=0), stats)


def _step(apply, preset, variables, opt_state, rates, *, image, label):
    # A short last batch that does not divide into groups is one group.
    group = preset.norm_group or len(image)
    group = len(image) if len(image) % group else group

    def loss(params):
        given = {"params": params, "batch_stats": variables["batch_stats"]}
        features, stats = _features(apply, given, image, group)
        logits, _ = linear({"params": params["head"]}, features, True)
        return cross_entropy(logits, label), stats

    params = variables["params"]
    (value, stats), grads = jax.value_and_grad(loss, has_aux=True)(params)
    optimizer = _optimizer(preset, rates)
    params, opt_state, _ = optim.update(optimizer, grads, opt_state, params)
    return {"params": params, "batch_stats": stats}, opt_state, value


def _test_step(apply, variables, *, image, label):
    encoder = {
        "params": variables["params"]["encoder"],
        "batch_stats": variables["batch_stats"],
    }
    features, _ = apply(encoder, image, False)
    logits, _ = linear({"params": variables["params"]["head"]}, wide(features), False)
    return hits(logits, label)
