"""OBoW: its authors' numbers through the method; the queue of words; when the teacher moves."""

import dataclasses
import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jax_bt import methods
from jax_bt.errors import UsageError
from jax_bt.methods import Method

from . import tiny
from .test_heads import described

FEATURES, CHANNELS, SIDES = 9, (6, 8), (7, 6)  # of the golden arrays, and 16 words, 4 images
SIZES = [side * side * channels for side, channels in zip(SIDES, CHANNELS, strict=True)]


class Given(nn.Module):
    """An encoder that finds its features and maps in its input, one row an image."""

    width_out = FEATURES

    @nn.compact
    def __call__(self, x, train=False):
        first, second, _ = jnp.split(x[:, FEATURES:], np.cumsum(SIZES), axis=1)
        self.sow("intermediates", "layer1", first.reshape(-1, SIDES[0], SIDES[0], CHANNELS[0]))
        self.sow("intermediates", "layer2", second.reshape(-1, SIDES[1], SIDES[1], CHANNELS[1]))
        return x[:, :FEATURES]


def predictor(g, level):
    """Parameters of the golden predictor of a level."""

    def of(name):
        return g[f"predictor/layers_w.{level}.b{level}_{name}"]

    return {
        "linear_0": {"kernel": of("fc.weight").T},
        "bn_0": {"scale": of("bn.weight"), "bias": of("bn.bias")},
        "linear_1": {"kernel": of("last_layer.weight").T, "bias": of("last_layer.bias")},
    }


def words(g, step, level):
    return g[f"dictionary/{level}" if step == 0 else f"step{step - 1}/dictionary_after/{level}"]


def test_the_loss_is_the_references(golden):
    """Two steps, two levels, one crop of one size and two of another; values and gradients."""
    g = golden("obow_2levels")
    inverse_delta, decay, kappa = (float(x) for x in g["hyper"])
    module = methods.load("obow")
    method = Method(module, {"inverse_delta": inverse_delta, "decay": decay, "kappa": kappa})
    width = FEATURES + sum(SIZES)
    levels = {"levels": ("layer1", "layer2")}
    nets = methods.make_networks(module, Given(), levels, inputs=(width,))
    for name in ("words_layer1", "words_layer2"):
        # The hidden layer of the arrays has 10 units, not twice the 9 features.
        nets.modules[name] = nets.modules[name].clone(widths=(10, FEATURES))
    variables = jax.jit(nets.init)(jax.random.key(0))
    for i, name in enumerate(("words_layer1", "words_layer2")):
        variables["params"][name] = predictor(g, i)
    target = {"params": {"encoder": {}}, "batch_stats": {}, "mean_distance": jnp.full(2, 0.5)}
    for step in (0, 1):
        maps = [g[f"step{step}/map/{i}"].transpose(0, 2, 3, 1).reshape(4, -1) for i in (0, 1)]
        teacher = np.concatenate([np.zeros((4, FEATURES)), *maps], axis=1, dtype=np.float32)
        kinds = [
            g[f"step{step}/{what}/{kind}"].reshape(4, kind + 1, FEATURES).swapaxes(0, 1)
            for what in ("features", "grad")
            for kind in (0, 1)
        ]
        # Rows of one size are one kind of crops.
        crops = [
            np.concatenate([z, np.zeros((4, sum(SIZES) + kind))], axis=1, dtype=np.float32)
            for kind in (0, 1)
            for z in kinds[kind]
        ]
        target["words"] = tuple(jnp.asarray(words(g, step, i)) for i in (0, 1))

        def loss(crops, target=target, teacher=teacher):
            return method.loss(nets, variables, target, (teacher, *crops), tiny.context())

        (value, outputs), grads = jax.jit(jax.value_and_grad(loss, has_aux=True))(crops)
        # float32, and words that the file rounds to it, of logits up to kappa times 10.
        expected = sum(g[f"step{step}/loss/{kind}"] for kind in (0, 1))
        np.testing.assert_allclose(value, expected, rtol=5e-6)
        found = np.stack(grads_of(grads))
        np.testing.assert_allclose(found, np.concatenate(kinds[2:]), rtol=2e-4, atol=2e-6)
        distances = [g[f"step{step}/mean_distance/{i}"] for i in (0, 1)]
        np.testing.assert_allclose(outputs.kept["mean_distance"], distances, rtol=1e-5)
        target["mean_distance"] = outputs.kept["mean_distance"]


def grads_of(grads):
    return [grad[:, :FEATURES] for grad in grads]


def teacher_maps(nets, target, x):
    """The maps of both stages in training mode, by Flax alone."""
    given = {kind: target[kind]["encoder"] for kind in ("params", "batch_stats")}
    kept = ["batch_stats", "intermediates"]
    apply = functools.partial(nets.modules["encoder"].apply, train=True, mutable=kept)
    _, seen = jax.jit(apply)(given, x)
    return [np.array(seen["intermediates"][name][0]) for name in ("layer1", "layer2")]


def windows(maps):
    """The mean of every 3 x 3 window: (N, places, C)."""
    side = maps.shape[1] - 2
    places = [(i, j) for i in range(side) for j in range(side)]
    return np.stack([maps[:, i : i + 3, j : j + 3].mean((1, 2)) for i, j in places], axis=1)


def test_new_words_replace_the_oldest_in_the_batchs_order():
    """Three batches of 16 into 40 words, which are in order, oldest first; places are random."""
    run, nets = tiny.make("obow", devices=8), tiny.networks("obow")
    state, taken = run.state, []
    for i in range(3):
        before = jax.device_get(state.target)
        maps = teacher_maps(nets, before, tiny.views(i, inputs=nets.inputs)[0])
        state, _ = tiny.train(run, range(i, i + 1), state)
        for level, old in enumerate(before["words"]):
            now = np.array(state.target["words"][level])
            np.testing.assert_array_equal(now[:-16], old[16:])
            candidates = windows(maps[level])
            distance = np.abs(candidates - now[-16:, None]).max(axis=2)
            # Sums of nine float32 in another order, and batch norm over eight shards.
            assert distance.min(axis=1).max() < 1e-5
            taken.append((level, distance.argmin(axis=1)))
    assert len({places.tobytes() for _, places in taken}) == len(taken)
    large = np.concatenate([places for level, places in taken if level == 0])
    assert 20 < len(set(large.tolist())) <= 36  # 48 draws among 36 places: about 27 of them


def test_words_start_as_a_normal_cut_at_zero_and_the_teacher_as_a_copy():
    state = tiny.make("obow", target={"words": 4000}).state
    shapes = [queue.shape for queue in state.target["words"]]
    assert shapes == [(4000, 4), (4000, 8)]
    for queue in state.target["words"]:
        # 16,000 draws: half of them zeros, the mean of the others sqrt(2 / pi); three deviations.
        assert abs(np.mean(queue == 0) - 0.5) < 3 * 0.5 / np.sqrt(queue.size)
        assert abs(np.mean(queue[queue > 0]) - np.sqrt(2 / np.pi)) < 3 * 0.6 / np.sqrt(
            queue.size / 2
        )
    np.testing.assert_array_equal(state.target["mean_distance"], [0.5, 0.5])
    for name in ("encoder", "projector"):
        for a, b in zip(
            *(jax.tree.leaves(p[name]) for p in (state.params, state.target["params"])), strict=True
        ):
            np.testing.assert_array_equal(a, b)
    assert sorted(state.target["params"]) == ["encoder", "projector"]


def test_the_teacher_moves_before_a_steps_targets_with_that_steps_share():
    """At the end of step s, towards the new parameters with alpha(s + 1): 1 - (1 - alpha) cos."""
    run = tiny.make("obow", target={"words": 40, "momentum": 0.75})
    before, _ = tiny.train(run, range(1))
    after, _ = tiny.train(run, range(1, 2), before)
    share = 1 - 0.25 * (1 + np.cos(np.pi * 2 / tiny.STEPS)) / 2
    old, new, moved = (
        jax.tree.leaves(tree["encoder"])
        for tree in (before.target["params"], after.params, after.target["params"])
    )
    for o, n, m in zip(old, new, moved, strict=True):
        np.testing.assert_allclose(m, share * o + (1 - share) * n, rtol=1e-5, atol=1e-6)
    assert max(np.abs(m - o).max() for m, o in zip(moved, old, strict=True)) > 1e-4


def test_no_gradient_reaches_teacher_or_words():
    run, nets = tiny.make("obow"), tiny.networks("obow")
    variables, views = tiny.variables(run.state), tiny.views(0, inputs=nets.inputs)

    def loss(params, kept):
        given = {**variables, "params": params}
        target = {**run.state.target, **kept}
        return run.method.loss(nets, given, target, views, tiny.context())[0]

    params, kept = jax.jit(jax.grad(loss, (0, 1)))(
        variables["params"], {"params": run.state.target["params"]}
    )
    assert all(np.abs(x).max() == 0 for x in jax.tree.leaves(kept))
    for name in ("encoder", "words_layer1", "words_layer2"):
        assert max(np.abs(x).max() for x in jax.tree.leaves(params[name])) > 1e-3


def test_crops_of_one_size_are_averaged_and_sizes_added():
    """One crop of 8 pixels and two of 4."""
    nets, method = tiny.networks("obow"), Method(methods.load("obow"), {"border": 0})
    state = tiny.make("obow").state
    whole, large = tiny.views(0, inputs=nets.inputs)
    small = [large[:, :4, :4], large[:, 4:, 4:]]

    def value(*crops):
        views = (whole, *crops)
        context = dataclasses.replace(tiny.context(), key=jax.random.key(1))
        variables = tiny.variables(state)
        return float(tiny.loss(method, nets, variables, state.target, views, context)[0])

    alone = [value(large), value(*small)]
    np.testing.assert_allclose(value(large, *small), sum(alone), rtol=1e-5)


def test_heads_of_a_resnet_50_are_the_references():
    made = methods.load("obow").heads(2048)
    assert made["projector"].width_out == 2048
    for name, channels in (("words_layer3", 1024), ("words_layer4", 2048)):
        assert described(made[name], channels) == f"{channels}-k-4096-n-kb-2048"
    assert list(made) == ["projector", "words_layer3", "words_layer4"]
    made = methods.load("obow").heads(2048, projector=(512, 256), levels=("layer4",))
    found = [described(head, 2048) for head in made.values()]
    assert found == ["2048-k-512-n-k-256", "2048-k-512-n-kb-256"]


@pytest.mark.parametrize(
    "given, answer",
    [
        ({"loss": {"border": 1}}, "maps of 4 x 4 have no window of 3 x 3 inside a border of 1"),
        ({"devices": 8, "target": {"words": 12}}, "target.words=12 does not divide over 8 devices"),
        ({"levels": ("layer3",)}, "the method takes the encoder's 'layer3', which it does not"),
        ({"levels": ()}, r"heads.levels=\(\): obow needs at least one"),
    ],
)
def test_what_does_not_fit_is_refused(given, answer):
    with pytest.raises(UsageError, match=answer):
        tiny.train(tiny.make("obow", **given), range(1))
