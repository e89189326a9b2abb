"""Views on the host: determinism, the host's share, crops in batches."""

import jax
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from jax_bt import augment
from jax_bt.augment.choices import parameters
from jax_bt.augment.device.view import apply
from jax_bt.augment.host import crop_box, ops, resize
from jax_bt.augment.host.view import crop_batch, finish_view, host_view, make_view


@pytest.fixture(scope="module")
def image():
    rng = np.random.default_rng(0)
    small = tf.constant(rng.uniform(0, 255, (8, 10, 3)).astype(np.float32))
    return tf.cast(tf.clip_by_value(tf.image.resize(small, (60, 80), "bicubic"), 0, 255), tf.uint8)


def make(recipe, function=make_view, **options):
    return lambda i, s: function(i, recipe, s, **options)


@pytest.mark.parametrize("name", augment.names())
def test_every_recipe_makes_its_views(image, name):
    for recipe in dict.fromkeys(augment.recipes(name, size=32)):
        view = make_view(image, recipe, tf.constant([1, 2])).numpy()
        assert view.shape == (recipe.size, recipe.size, 3)
        assert view.dtype == np.float32
        raw = view * recipe.std + recipe.mean
        assert raw.min() > -1e-5 and raw.max() < 1 + 1e-5
        host = host_view(image, recipe, tf.constant([1, 2]))
        assert host.shape == view.shape
        assert host.dtype == tf.uint8


def test_a_view_is_a_function_of_its_seed(image):
    recipe = augment.recipes("barlow", 24)[1]
    view = tf.function(lambda i, s: make_view(i, recipe, s))  # once in a graph
    first = view(image, tf.constant([5, 6])).numpy()
    np.testing.assert_array_equal(view(image, tf.constant([5, 6])), first)
    for other in ([5, 7], [6, 6]):
        assert np.abs(view(image, tf.constant(other)) - first).max() > 0.05


def test_threads_and_batches_change_nothing(image):
    recipe = augment.recipes("barlow", 16)[1]
    seeds = tf.data.Dataset.range(24).map(lambda i: make_view(image, recipe, [i, i]))
    parallel = tf.data.Dataset.range(24).map(
        lambda i: make_view(image, recipe, [i, i]), num_parallel_calls=4
    )
    np.testing.assert_array_equal(np.stack(list(seeds)), np.stack(list(parallel)))


def test_grey_images_have_their_channel_repeated(image):
    recipe = augment.recipes("barlow_crop", 16)[0]
    grey = image[..., :1]
    one = make(recipe)(grey, tf.constant([1, 1]))
    three = make(recipe)(tf.repeat(grey, 3, axis=-1), tf.constant([1, 1]))
    np.testing.assert_array_equal(one, three)


def test_float_images_are_in_the_unit_range(image):
    for name in ("cifar_barlow", "cifar_w_mse", "eval"):
        view = make(augment.recipes(name, 16)[0])
        as_float = view(tf.cast(image, tf.float32) / 255, tf.constant([1, 1]))
        np.testing.assert_allclose(as_float, view(image, tf.constant([1, 1])), atol=2e-5)


def test_only_a_recipe_that_starts_with_a_crop_is_cropped_in_batches(image):
    for name in ("w_mse", "eval"):
        with pytest.raises(ValueError, match="starts with"):
            crop_batch(image[None], augment.recipes(name, 24)[0], tf.constant([[1, 1]]))


@pytest.mark.parametrize("word", [3, 35])  # flip, jitter and: grey and solarized; blurred
@pytest.mark.parametrize("name", ["barlow", "w_mse", "moco_v3", "digits"])
def test_host_and_device_share_the_work(image, name, word):
    """The host's 8 bits, finished on the device with the host's choices, are the whole view."""
    recipe, seed = augment.recipes(name, 24)[1], tf.constant([8, word])
    host = make(recipe, host_view)(image, seed).numpy()
    normal = tf.random.stateless_normal((24, 24), seed, alg="philox").numpy()
    chosen = parameters(recipe, crop_box.uniforms(seed)[0].numpy())
    chosen = jax.tree.map(jax.numpy.asarray, chosen)
    finished = jax.jit(lambda x, n: apply(x, recipe, chosen, n))(host, normal)
    whole = make(recipe)(image, seed).numpy()
    # Rounding to 8 bits: half a level, times up to 1.4 for each step of the jitter.
    distance = np.abs(np.asarray(finished) - whole) * recipe.std * 255
    assert distance.max() < 2.5
    assert distance.mean() < 0.5
    unfinished = (host / 255 - recipe.mean) / recipe.std
    assert np.abs(whole - unfinished).max() > 0.1


def test_evaluation_takes_the_centre(image):
    (recipe,) = augment.recipes("eval", size=28)
    made = make(recipe)(image, tf.constant([0, 0])).numpy() * recipe.std + recipe.mean
    where = resize.center(tf.shape(image), 28, 0.875)
    expected = resize.resize(image, (28, 28), "bilinear", **where, channels_last=True)
    np.testing.assert_allclose(made, expected, atol=1e-5)
    (square,) = augment.recipes("cifar_eval", size=60)
    untouched = make(square)(image[:, :60], tf.constant([0, 0])).numpy()
    expected = image[:, :60].numpy() / 255
    np.testing.assert_allclose(untouched * square.std + square.mean, expected, atol=1e-5)


@pytest.mark.parametrize("shape", [(32, 32, 3), (28, 40, 1)])
def test_a_batch_of_crops_equals_one_by_one(shape):
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (12, *shape), np.uint8)
    seeds = rng.integers(-(2**31), 2**31, (12, 2)).astype(np.int32)
    for name, size in (("cifar_barlow", 32), ("moco_v2", 24)):
        recipe = augment.recipes(name, size)[1]
        crops = tf.function(lambda i, s, r=recipe: crop_batch(i, r, s))(images, seeds)
        finish = tf.function(lambda c, s, r=recipe: finish_view(c, r, s))
        finished = [finish(*one) for one in zip(crops, seeds, strict=True)]
        whole, host = make(recipe), make(recipe, host_view)
        pairs = [(tf.constant(i), tf.constant(s)) for i, s in zip(images, seeds, strict=True)]
        expected = np.stack([whole(*pair) for pair in pairs])
        np.testing.assert_allclose(finished, expected, atol=2e-5)
        eight_bits = ops.to_uint8(ops.to_image(crops)).numpy().astype(int)
        one_by_one = np.stack([host(*pair) for pair in pairs]).astype(int)
        assert np.abs(eight_bits - one_by_one).max() <= 1  # a tie may round either way
        assert (eight_bits != one_by_one).mean() < 1e-2


@pytest.mark.parametrize("name", ["tiny", "odd"])
def test_evaluation_is_torchvisions_resize_and_center_crop(golden, name):
    """Resize(256), CenterCrop(224), bilinear, in 64 x 64 windows of the result.

    torchvision's float64 tensors to float32 rounding. Pillow rounds to 8 bits after each of its
    two passes: half a level each, the first weighted by the second's weights, which sum to 1.
    """
    data = golden("eval_resize_crop")
    recipe = augment.recipes("barlow", 224)[0].evaluation()
    made = make_view(tf.constant(data[f"{name}/image"]), recipe, tf.constant([0, 0])).numpy()
    unit = made * np.array(recipe.std, np.float32) + np.array(recipe.mean, np.float32)
    windows = np.stack([unit[y : y + 64, x : x + 64] for y, x in data["windows"]])
    np.testing.assert_allclose(windows[1:2], data[f"{name}/tensor_float"], atol=2e-6)
    assert np.abs(windows * 255 - data[f"{name}/pil"]).max() < 1.01


def test_a_squashed_image_is_pillows_whole_image_resized():
    image = np.random.default_rng(0).integers(0, 256, (40, 90, 3), np.uint8)
    recipe = augment.Recipe(16, (augment.CenterCrop(0.5, "bilinear", squash=True),))
    unit = make(recipe)(image, tf.constant([0, 0])) * np.array(recipe.std, np.float32)
    expected = Image.fromarray(image).resize((16, 16), Image.Resampling.BILINEAR)
    # Pillow rounds to 8 bits after each of its two passes.
    assert np.abs((unit + recipe.mean) * 255 - np.asarray(expected)).max() < 1.01


def test_images_of_ten_channels_and_sixteen_bits():
    image = np.random.default_rng(0).integers(0, 2**16, (30, 40, 10), np.uint16)
    for recipe in augment.for_channels(augment.recipes("barlow", 16), 10):
        seed = tf.constant([3, 4])
        made = make(recipe)(image, seed)
        assert made.shape == (16, 16, 10)
        unit = tf.constant(image / 65535, tf.float32)
        np.testing.assert_allclose(made, make(recipe)(unit, seed), atol=2e-5)
        assert make(recipe, host_view)(image, seed).shape == (16, 16, 10)
