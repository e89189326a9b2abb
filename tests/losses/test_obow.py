"""OBoW's bags of words, dictionary and loss beside its authors' numbers, two steps in a row."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers.golden import check
from jax.sharding import PartitionSpec as P

from jax_bt import losses

LEVELS = (0, 1)


def maps(g, step, level):
    """A level's teacher maps, channels last."""
    return g[f"step{step}/map/{level}"].transpose(0, 2, 3, 1).astype(np.float64)


def dictionary(g, step, level):
    """The words with which a step works: four of the 16 in the queue are new after each step.

    The file has them in float32; the reference went on with float64.
    """
    words = g[f"dictionary/{level}"].astype(np.float64)
    for before in range(step):
        with jax.enable_x64(True):
            new = losses.new_words(maps(g, before, level), g[f"step{before}/position/{level}"])
        words[4 * before : 4 * before + 4] = new
    return words


@pytest.mark.parametrize("level", LEVELS)
def test_bags_and_mean_distance_are_the_references(golden, level):
    g = golden("obow_2levels")
    inverse_delta, decay, _ = g["hyper"]
    mean_distance = 0.5
    with jax.enable_x64(True):
        for step in (0, 1):
            bags = losses.bags_of_words(
                maps(g, step, level),
                dictionary(g, step, level),
                mean_distance,
                inverse_delta=inverse_delta,
                decay=decay,
            )
            mean_distance = bags.mean_distance
            np.testing.assert_allclose(mean_distance, g[f"step{step}/mean_distance/{level}"], 1e-9)
            target = g[f"step{step}/target/{level}"]
            np.testing.assert_allclose(bags.target, target, rtol=1e-9, atol=1e-15)


@pytest.mark.parametrize("level", LEVELS)
def test_new_words_replace_the_oldest_as_in_the_reference(golden, level):
    g = golden("obow_2levels")
    for step in (0, 1):
        after = g[f"step{step}/dictionary_after/{level}"]
        # The file's float32 is the float64 number, rounded.
        np.testing.assert_allclose(after, dictionary(g, step + 1, level), rtol=6e-8)


def word_weights(g, words, level):
    """The predictor in training mode, numpy: unit words, Linear, norm over words, ReLU, Linear."""

    def of(name):
        return g[f"predictor/layers_w.{level}.b{level}_{name}"].astype(np.float64)

    def unit(x):
        return x / np.linalg.norm(x, axis=1, keepdims=True)

    x = unit(words) @ of("fc.weight").T
    x = (x - x.mean(0)) / np.sqrt(x.var(0) + 1e-5) * of("bn.weight") + of("bn.bias")
    return unit(np.maximum(x, 0) @ of("last_layer.weight").T + of("last_layer.bias"))


@pytest.mark.parametrize("step", [0, 1])
def test_the_loss_is_the_references(golden, step):
    """Of each kind of crops by itself; kind 1 has two crops of each image."""
    g = golden("obow_2levels")
    kappa = g["hyper"][2]
    weights = [word_weights(g, dictionary(g, step, level), level) for level in LEVELS]
    for kind, crops in ((0, 1), (1, 2)):
        features = g[f"step{step}/features/{kind}"].reshape(4, crops, -1).swapaxes(0, 1)
        gradient = g[f"step{step}/grad/{kind}"].reshape(4, crops, -1).swapaxes(0, 1)

        def mean_over_levels(features):
            values = [
                losses.obow(
                    kappa * features @ jnp.asarray(weights[level].T, features.dtype),
                    jnp.asarray(g[f"step{step}/target/{level}"], features.dtype),
                ).loss
                for level in LEVELS
            ]
            return losses.OBoW(sum(values) / len(values))

        # kappa times float32's rounding of a product of unit rows, 1e-7 of the loss's size.
        tolerances = (5e-6, 2e-5)
        check(mean_over_levels, (features,), g[f"step{step}/loss/{kind}"], (gradient,), tolerances)


def test_bags_are_the_same_on_eight_devices():
    random = np.random.default_rng(0)
    maps, words = random.normal(size=(16, 6, 5, 4)), random.normal(size=(10, 4))

    def bags(maps, axis_name=None):
        return losses.bags_of_words(maps, words, 0.5, axis_name=axis_name)

    with jax.enable_x64(True):
        mapped = jax.shard_map(
            lambda maps: bags(maps, "i"),
            mesh=jax.make_mesh((8,), ("i",), (jax.sharding.AxisType.Auto,)),
            in_specs=P("i"),
            out_specs=losses.Bags(P("i"), P()),
        )
        one, eight = bags(maps), jax.jit(mapped)(maps)
    np.testing.assert_allclose(eight.target, one.target, rtol=1e-9)
    np.testing.assert_allclose(eight.mean_distance, one.mean_distance, rtol=1e-12)


def test_refuses():
    with pytest.raises(ValueError, match="nothing is left inside 1 of border"):
        losses.bags_of_words(np.ones((2, 2, 2, 3)), np.ones((4, 3)), 0.5)
    with pytest.raises(ValueError, match=r"target has shape \(3, 4\): expected \(2, 4\)"):
        losses.obow(np.ones((1, 2, 4)), np.ones((3, 4)))
