"""Views on the host: the distribution of crops, determinism, the host's share."""

import jax
import numpy as np
import pytest
import tensorflow as tf

from jax_bt import augment
from jax_bt.augment import Crop, device
from jax_bt.augment.parameters import parameters
from jax_bt.data import ops, views

DRAWS = 20_000


def boxes(shape, crop, count, seed=0):
    """(count, 4) boxes of random resized crops of an image of this shape."""
    uniform = np.random.default_rng(seed).uniform(size=(count, views.BOX_COUNT))
    draw = tf.function(
        lambda u: tf.vectorized_map(lambda one: views.random_box(shape, crop, one), u)
    )
    return draw(uniform.astype(np.float32)).numpy()


@pytest.mark.parametrize("shape", [(375, 500), (32, 32)])
def test_crops_are_distributed_as_torchvisions(golden, shape):
    """Each of 99 quantiles of area, ratio, top and left, of 30000 draws there and 20000 here.

    The largest distance of two empirical distributions of that many draws is above 0.0178 once in
    a thousand times (Kolmogorov-Smirnov). Whole pixels make steps: either side of one will do.
    """
    data, name = golden("augment_rrc_stats"), f"{shape[0]}x{shape[1]}"
    drawn = boxes(shape, Crop(), DRAWS).astype(np.float64)
    top, left, height, width = drawn.T
    measured = (height * width / (shape[0] * shape[1]), np.log(width / height), top, left)
    for row, values in zip(data[f"quant_{name}"], measured, strict=True):
        below = np.array([(values < q - 1e-6).mean() for q in row])
        to = np.array([(values <= q + 1e-6).mean() for q in row])
        assert (below - 0.0178 <= data["q"]).all()
        assert (to + 0.0178 >= data["q"]).all()
    np.testing.assert_allclose(drawn.mean(axis=0), data[f"mean_{name}"], rtol=0.03)


def test_boxes_lie_inside_whatever_the_shape():
    for shape in ((1, 1), (3, 200), (200, 3), (50, 41)):
        top, left, height, width = boxes(shape, Crop(), 500).T
        assert (height >= 1).all() and (width >= 1).all()
        assert (top >= 0).all() and (top + height <= shape[0]).all()
        assert (left >= 0).all() and (left + width <= shape[1]).all()


def test_fallback_is_the_central_box_of_the_nearest_ratio():
    crop = Crop(scale=(0.9, 1.0))  # never fits these: ten tries fail
    assert (boxes((30, 1000), crop, 20) == [0, 480, 30, 40]).all()  # 4 / 3
    assert (boxes((1000, 30), crop, 20) == [480, 0, 40, 30]).all()  # 3 / 4
    assert (boxes((100, 100), Crop(ratio=(1.2, 1.2), scale=(1, 1)), 20) == [8, 0, 83, 100]).all()
    whole = boxes((100, 100), Crop(scale=(1.0, 1.0), ratio=(0.5, 2.0)), 20)
    assert (whole == [0, 0, 100, 100]).all()  # its own ratio is allowed: nothing is cut


def test_placement_reaches_both_edges():
    top, left, height, width = boxes((8, 8), Crop(scale=(0.3, 0.3), ratio=(1.0, 1.0)), 400).T
    assert set(top) == set(range(8 - height[0] + 1)) == set(left)


@pytest.fixture(scope="module")
def image():
    rng = np.random.default_rng(0)
    small = tf.constant(rng.uniform(0, 255, (8, 10, 3)).astype(np.float32))
    return tf.cast(tf.clip_by_value(tf.image.resize(small, (60, 80), "bicubic"), 0, 255), tf.uint8)


def make(recipe, function=views.make_view, **options):
    return tf.function(lambda i, s: function(i, recipe, s, **options), autograph=False)


@pytest.mark.parametrize("name", augment.names())
def test_every_recipe_makes_its_views(image, name):
    for recipe in dict.fromkeys(augment.recipes(name, size=32)):
        view = make(recipe)(image, tf.constant([1, 2])).numpy()
        assert view.shape == (recipe.size, recipe.size, 3)
        assert view.dtype == np.float32
        raw = view * recipe.std + recipe.mean
        assert raw.min() > -1e-5 and raw.max() < 1 + 1e-5
        host = make(recipe, views.host_view)(image, tf.constant([1, 2]))
        assert host.shape == view.shape
        assert host.dtype == tf.uint8


def test_a_view_is_a_function_of_its_seed(image):
    view = make(augment.recipes("barlow", 24)[1])
    first = view(image, tf.constant([5, 6])).numpy()
    np.testing.assert_array_equal(view(image, tf.constant([5, 6])), first)
    for other in ([5, 7], [6, 6]):
        assert np.abs(view(image, tf.constant(other)) - first).max() > 0.05


def test_threads_and_batches_change_nothing(image):
    recipe = augment.recipes("barlow", 16)[1]
    seeds = tf.data.Dataset.range(24).map(lambda i: views.make_view(image, recipe, [i, i]))
    parallel = tf.data.Dataset.range(24).map(
        lambda i: views.make_view(image, recipe, [i, i]), num_parallel_calls=4
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


def test_a_decoder_may_cut_the_box_itself(image):
    recipe, seed = augment.recipes("barlow", 24)[0], tf.constant([3, 4])
    top, left, height, width = views.sample_box(tf.shape(image), recipe, seed).numpy()
    cut = image[top : top + height, left : left + width]
    for function in (views.make_view, views.host_view):
        whole = make(recipe, function)(image, seed)
        np.testing.assert_array_equal(make(recipe, function, cropped=True)(cut, seed), whole)


def test_only_a_recipe_that_starts_with_a_crop_can_be_cut(image):
    for name in ("w_mse", "eval"):
        recipe = augment.recipes(name, 24)[0]
        with pytest.raises(ValueError, match="starts with"):
            views.sample_box(tf.shape(image), recipe, tf.constant([1, 1]))
        with pytest.raises(ValueError, match="starts with"):
            views.make_view(image, recipe, tf.constant([1, 1]), cropped=True)


@pytest.mark.parametrize("name", ["barlow", "w_mse", "moco_v3", "digits"])
def test_host_and_device_share_the_work(image, name):
    """The host's 8 bits, finished on the device with the host's choices, are the whole view."""
    recipe, seed = augment.recipes(name, 24)[1], tf.constant([8, 5])
    host = make(recipe, views.host_view)(image, seed).numpy()
    normal = tf.random.stateless_normal((24, 24), seed, alg="philox").numpy()
    chosen = parameters(recipe, views.uniforms(seed)[0].numpy())
    chosen = jax.tree.map(jax.numpy.asarray, chosen)
    finished = jax.jit(lambda x, n: device.apply(x, recipe, chosen, n))(host, normal)
    whole = make(recipe)(image, seed).numpy()
    # Rounding to 8 bits: half a level, times up to 1.4 thrice, over std.
    distance = np.abs(np.asarray(finished) - whole) * recipe.std * 255
    assert distance.max() < 1.5
    assert distance.mean() < 0.5
    unfinished = (host / 255 - recipe.mean) / recipe.std
    assert np.abs(whole - unfinished).max() > 0.1


def test_evaluation_takes_the_centre(image):
    (recipe,) = augment.recipes("eval", size=28)
    view = make(recipe)(image, tf.constant([0, 0])).numpy() * recipe.std + recipe.mean
    np.testing.assert_allclose(view, ops.center_crop(image, 28, 0.875), atol=1e-5)
    (square,) = augment.recipes("cifar_eval", size=60)
    untouched = make(square)(image[:, :60], tf.constant([0, 0])).numpy()
    expected = image[:, :60].numpy() / 255
    np.testing.assert_allclose(untouched * square.std + square.mean, expected, atol=1e-5)
