"""Trains classifiers behind a frozen encoder, several at once: every image is encoded once."""

import collections
import functools
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from jax.sharding import Mesh

from jax_bt import optim
from jax_bt.devices.mesh import replicated
from jax_bt.evaluate._accuracy import accuracies, cross_entropy, hits
from jax_bt.evaluate._placement import exact, mesh_or_own, padded, put
from jax_bt.stats import wide

PyTree = Any
Batches = Iterable[Mapping[str, Any]]
Encode = Callable[[PyTree, Array], PyTree]  # (variables, images (B, ...)) -> features
ENCODED_AHEAD = 2  # steps given to the devices before their results are there


class Classifier(NamedTuple):
    """One of the classifiers that share the encoder's features.

    Attributes:
      init: (key, features) -> {"params": ..., "batch_stats": ...}, the second if it has any.
      apply: (variables, features, train) -> logits (B, K) and the variables with new statistics.
      optimizer: rate -> optimiser.
      rate: epoch, counted from 0 -> its learning rate.
    """

    init: Callable[[Array, PyTree], PyTree]
    apply: Callable[[PyTree, PyTree, bool], tuple[Array, PyTree]]
    optimizer: Callable[[Any], optim.GradientTransformation]
    rate: Callable[[int], float]


class State(NamedTuple):
    """Where the training stands between two epochs; a run that was cut off goes on from it.

    Attributes:
      epoch: number of epochs done.
      variables: of each classifier, by name.
      opt_state: of each optimiser, by name.
      history: one record per epoch: {"epoch", name: {"rate", "loss", "top1", "top5"}}, percent.
    """

    epoch: int
    variables: dict[str, PyTree]
    opt_state: dict[str, PyTree]
    history: tuple[dict[str, Any], ...] = ()


def fit(
    encode: Encode,
    variables: PyTree,
    classifiers: Mapping[str, Classifier],
    train: Callable[[int], Batches],
    test: Batches,
    *,
    classes: int,
    epochs: int,
    mesh: Mesh | None = None,
    seed: int = 0,
    resume: Callable[[State], State] | None = None,
    on_epoch: Callable[[State], None] | None = None,
) -> State:
    """Trains every classifier on the features of the same batches, and tests after every epoch.

    The images to test on are encoded once: a frozen encoder sees the same ones every time.

    Args:
      encode: (variables, images) -> features, an array or a pytree of arrays (B, ...), in
        evaluation mode; traced here.
      variables: of the encoder; never changed.
      classifiers: by name.
      train: epoch -> this process's batches {"image": (b, ...), "label": (b,) integer}.
      test: this process's batches to test on; all but the last are of one size.
      classes: number of classes K.
      epochs: in all, those of ``state`` included.
      mesh: the devices to use; None for those of this process.
      seed: of the initial weights; the same for every classifier.
      resume: from the state of epoch 0 to the one to go on from, of the same structure.
      on_epoch: called after every epoch with the new state.

    Returns:
      The state after the last epoch.

    Raises:
      DataError: a label that is no class.
      ValueError: no batches, or an encoder whose features of an image depend on the others of its
        batch, as with batch norm in training mode.
      RuntimeError: the encoder's variables changed.
    """
    mesh = mesh_or_own(mesh)
    given, before = variables, fingerprint(variables)
    variables = on_devices(mesh, variables)
    encoded = [
        (_encode(encode, variables, batch["image"]), batch["label"])
        for batch in _checked(encode, variables, padded(mesh, test, classes))
    ]
    fresh = _start(classifiers, encoded[0][0], mesh, seed)
    state = fresh if resume is None else resume(fresh)
    state = state._replace(
        variables=on_devices(mesh, state.variables), opt_state=on_devices(mesh, state.opt_state)
    )
    # Nothing is donated: a state that ``on_epoch`` keeps stays readable, and classifiers are small.
    jit = functools.partial(jax.jit, out_shardings=replicated(mesh))
    step = jit(functools.partial(_step, encode, dict(classifiers)))
    test_step = jit(functools.partial(_test_step, dict(classifiers)))
    for epoch in range(state.epoch, epochs):
        rates = {name: float(c.rate(epoch)) for name, c in classifiers.items()}
        heads, opt_state, losses = state.variables, state.opt_state, []
        for batch in train(epoch):
            placed = exact(mesh, batch, classes)
            heads, opt_state, loss = step(variables, heads, opt_state, rates, **placed)
            losses.append(loss)
            if len(losses) > ENCODED_AHEAD:
                jax.block_until_ready(losses[-1 - ENCODED_AHEAD])
        if not losses:
            raise ValueError(f"no batches to train on in epoch {epoch}")
        found = collections.defaultdict(list)
        for features, label in encoded:
            for name, counts in test_step(heads, features, label).items():
                found[name].append(counts)
        record = {"epoch": epoch} | {
            name: {
                "rate": rates[name],
                "loss": float(np.mean([float(loss[name]) for loss in losses])),
                **accuracies(found[name]),
            }
            for name in classifiers
        }
        state = State(epoch + 1, heads, opt_state, (*state.history, record))
        if on_epoch is not None:
            on_epoch(state)
        if fingerprint(given) != before:
            raise RuntimeError("the variables of the frozen encoder changed")
    return state


def results(history: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Best and last accuracies of every classifier, the best top-1 and top-5 each on its own.

    Args:
      history: of a ``State``.

    Returns:
      {"top1", "top5"}: the best of the classifier that has the best top-1; {"last_top1",
      "last_top5"} of the same; "setting": its name; "settings": all four of every classifier;
      "history".
    """
    history = list(history)
    settings = {}
    for name in [name for name in history[-1] if name != "epoch"]:
        lines = [record[name] for record in history]
        best = {key: max(line[key] for line in lines) for key in ("top1", "top5")}
        settings[name] = best | {f"last_{key}": lines[-1][key] for key in best}
    best = max(settings, key=lambda name: settings[name]["top1"])
    return settings[best] | {"setting": best, "settings": settings, "history": history}


@jax.jit
def _sums(leaves: list[Array]) -> Array:
    total = jnp.zeros((), jnp.uint32)
    for leaf in leaves:
        bits = lax.bitcast_convert_type(leaf, jnp.uint8) if leaf.dtype != bool else leaf
        bits = bits.astype(jnp.uint32).ravel()
        # An odd factor per place: exchanged values and single bits show.
        total = total * 31 + jnp.sum(bits * (2 * lax.iota(jnp.uint32, bits.size) + 1))
    return total


def fingerprint(tree: PyTree) -> int:
    """A checksum of every byte of a pytree of arrays, computed where they lie."""
    return int(_sums(jax.tree.leaves(tree)))


def on_devices(mesh: Mesh, tree: PyTree) -> PyTree:
    """The same arrays, whole on every device."""
    return jax.tree.map(lambda x: put(np.asarray(x), replicated(mesh)), tree)


def _start(classifiers: Mapping[str, Classifier], features: PyTree, mesh: Mesh, seed: int) -> State:
    def init() -> tuple[PyTree, PyTree]:
        key = jax.random.key(seed)
        made = {name: c.init(key, features) for name, c in classifiers.items()}
        opt_state = {
            name: c.optimizer(0.0).init(made[name]["params"]) for name, c in classifiers.items()
        }
        return made, opt_state

    features = jax.tree.map(lambda x: jnp.zeros((1, *x.shape[1:]), x.dtype), features)
    return State(0, *jax.jit(init, out_shardings=replicated(mesh))())


@functools.partial(jax.jit, static_argnums=0)
def _encode(encode: Encode, variables: PyTree, images: Array) -> PyTree:
    return jax.tree.map(wide, encode(variables, images))


def _checked(encode: Encode, variables: PyTree, batches: Iterable[Any]) -> Iterable[Any]:
    """The batches; the first is encoded twice, the second time among other images."""
    for number, batch in enumerate(batches):
        if number == 0:
            images = batch["image"]
            half = len(images) // 2
            others = jnp.concatenate([images[:half], jnp.flip(images[: len(images) - half], 0)])
            others = jax.device_put(others, images.sharding)
            once, again = (_encode(encode, variables, x) for x in (images, others))
            if not all(jax.tree.leaves(jax.tree.map(functools.partial(_alike, half), once, again))):
                raise ValueError(
                    "the encoder's features of an image depend on the other images of its batch; "
                    "apply it in evaluation mode, with running statistics"
                )
        yield batch


@functools.partial(jax.jit, static_argnums=0)
def _alike(count: int, once: Array, again: Array) -> Array:
    # The same program on the same rows: all that differs is what leaked from other rows.
    error = jnp.max(jnp.abs(once[:count] - again[:count]), initial=0)
    return ~(error > 1e-3 * jnp.max(jnp.abs(once)))


def _step(encode, classifiers, variables, heads, opt_state, rates, *, image, label):
    features = lax.stop_gradient(jax.tree.map(wide, encode(variables, image)))
    heads, opt_state, losses = dict(heads), dict(opt_state), {}
    for name, classifier in classifiers.items():

        def loss(params, name=name, classifier=classifier):
            logits, new = classifier.apply({**heads[name], "params": params}, features, True)
            return cross_entropy(logits, label), new

        params = heads[name]["params"]
        (losses[name], new), grads = jax.value_and_grad(loss, has_aux=True)(params)
        optimizer = classifier.optimizer(rates[name])
        params, opt_state[name], _ = optim.update(optimizer, grads, opt_state[name], params)
        heads[name] = {**new, "params": params}
    return heads, opt_state, losses


def _test_step(classifiers, heads, features, label):
    return {
        name: hits(classifier.apply(heads[name], features, False)[0], label)
        for name, classifier in classifiers.items()
    }
