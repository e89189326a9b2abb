"""Device augmentation: the host's views from the same choices, on any number of devices."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tensorflow as tf
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from jax_bt import augment
from jax_bt.augment import (
    Affine,
    Blur,
    Crop,
    Flip,
    Grayscale,
    Jitter,
    Noise,
    Recipe,
    Solarize,
)
from jax_bt.augment.choices import COUNT, ORDERS, parameters
from jax_bt.augment.device import ops, view
from jax_bt.augment.host.ops import from_image, normalize, to_image
from jax_bt.augment.host.view import apply_part

SIZE = 12
EVERYTHING = Recipe(
    SIZE,
    (Crop(), Affine(p=0.5), Flip(), Jitter(), Grayscale(), Blur(0.5), Solarize(0.5), Noise(p=0.5)),
)
RECIPES = {
    "everything": EVERYTHING,
    "barlow": augment.recipes("barlow", SIZE)[1],
    "simclr_v1": augment.recipes("simclr_v1", SIZE)[0],
    "moco_v3": augment.recipes("moco_v3", SIZE)[1],
    "digits": augment.recipes("digits", SIZE)[0],
}


def on_host(image, recipe, uniform, normal):
    """The same parts by TensorFlow, from given numbers."""
    chosen = parameters(recipe, tf.unstack(uniform))
    planes = from_image(image)
    for part in recipe.parts[recipe.crop_index + 1 :]:
        planes = apply_part(planes, part, chosen, normal)
    return to_image(normalize(planes, recipe.mean, recipe.std))


@pytest.fixture(scope="module")
def batch():
    rng = np.random.default_rng(0)
    images = rng.uniform(size=(48, SIZE, SIZE, 3)).astype(np.float32)
    uniform = rng.uniform(size=(48, COUNT)).astype(np.float32)
    uniform[:24, 1] = 0  # jitter, and each of its orders once
    uniform[:24, 2] = (np.arange(24) + 0.5) / 24
    return images, uniform, rng.normal(size=(48, SIZE, SIZE)).astype(np.float32)


@pytest.mark.parametrize("name", RECIPES)
def test_equals_the_host_for_equal_choices(batch, name):
    recipe = RECIPES[name]

    @jax.jit
    @jax.vmap
    def ours(image, uniform, normal):
        return view.apply(image, recipe, parameters(recipe, uniform), normal)

    ones = [[tf.constant(x) for x in one] for one in zip(*batch, strict=True)]
    expected = np.stack([on_host(one[0], recipe, *one[1:]) for one in ones])
    # Rounding of 1e-6, over std 0.225, times ten where Affine reads beside a steep edge.
    np.testing.assert_allclose(ours(*batch), expected, atol=1e-4)
    assert np.abs(expected[0] - (batch[0][0] - recipe.mean) / recipe.std).max() > 0.05


def test_jitter_applies_the_operations_in_the_order_given(batch):
    image = batch[0][0]
    numbers = {"brightness": 1.3, "contrast": 0.7, "saturation": 1.9, "hue": 0.2}
    jitter = jax.jit(lambda order: view.jitter(image, Jitter(), numbers | {"order": order}))
    for row, order in enumerate(ORDERS):
        expected = image
        for which in order:
            name = list(numbers)[which]
            expected = getattr(ops, name)(expected, numbers[name])
        np.testing.assert_allclose(jitter(jnp.float32(row + 0.5)), expected, atol=2e-6)


def test_jitter_evaluates_hue_once(monkeypatch):
    """The point of `view.jitter`: a switch under vmap would evaluate it at four positions."""
    calls, hue = [], ops.hue
    monkeypatch.setattr(ops, "hue", lambda *args: calls.append(args) or hue(*args))
    uniform = jnp.zeros((5, COUNT))
    jax.jit(jax.vmap(lambda u: view.jitter(jnp.ones((4, 4, 3)), *choose(u)))).lower(uniform)
    assert len(calls) == 1


def choose(uniform):
    return Jitter(), parameters(RECIPES["barlow"], uniform)


def crops(count):
    return np.random.default_rng(1).integers(0, 256, (count, SIZE, SIZE, 3), np.uint8)


def test_a_view_depends_on_the_index_and_the_key_alone():
    recipe, images = RECIPES["everything"], crops(6)
    index = np.array([7, 11, 3, 900, 5, 2**31 - 1])
    make = jax.jit(lambda x, i, key: view.view(x, i, recipe, key))
    key = jax.random.key(3)
    whole = np.asarray(make(images, index, key))
    assert whole.shape == (6, SIZE, SIZE, 3)
    assert whole.dtype == np.float32
    turned = np.asarray(make(images[::-1], index[::-1], key))[::-1]
    np.testing.assert_allclose(turned, whole, atol=1e-5)
    again = np.asarray(make(images, index, jax.random.fold_in(key, 1)))
    other = np.asarray(make(images, index + 1 - 2 * (index > 900), key))
    for changed in (again, other):
        assert (np.abs(changed - whole).max(axis=(1, 2, 3)) > 1e-2).all()


def test_eight_devices_make_the_views_of_one():
    recipes, images, index = augment.recipes("barlow", SIZE), crops(16), np.arange(100, 116)
    make = jax.jit(lambda x, y, i: view.views((x, y), i, recipes, jax.random.key(0)))
    one = make(images, images, index)
    mesh = Mesh(np.array(jax.devices()), ("data",))
    shard = NamedSharding(mesh, PartitionSpec("data"))
    eight = make(*(jax.device_put(x, shard) for x in (images, images, index)))
    for a, b in zip(one, eight, strict=True):
        assert len(b.sharding.device_set) == 8
        np.testing.assert_allclose(a, b, atol=1e-5)  # other fusions round differently
    assert np.abs(one[0] - one[1]).max() > 0.1  # the two views have numbers of their own


def test_wrong_number_of_views_is_refused():
    with pytest.raises(ValueError, match="1 crops for 2 recipes"):
        view.views((crops(2),), np.arange(2), augment.recipes("barlow", SIZE), jax.random.key(0))
