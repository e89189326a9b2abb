"""Places: pixels that hold their own coordinates say where a view lies in its image."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tensorflow as tf

from jax_bt import augment, data
from jax_bt.augment.host.place import place_of
from jax_bt.augment.host.view import host_view, make_view
from jax_bt.data import train_batches

HEIGHT, WIDTH = 60, 84
UNIT = {"mean": (0.0,) * 3, "std": (1.0,) * 3, "size": 48}
CROP = {
    "crop": {"scale": (0.1, 0.3)}
}  # of at most 45 pixels: enlarged, so that nothing is averaged
AFFINE = {"affine": {"rotate": 20.0, "zoom": (1.0, 1.3), "p": 0.7}}
RECIPES = {
    "crop": CROP,
    "flipped": CROP | {"flip": {"p": 1.0}},
    "crop, flip": CROP | {"flip": {}},
    "flip, crop": CROP | {"flip": {}, "order": ("flip", "crop")},
    "crop, flip, affine": CROP | {"flip": {}} | AFFINE,
    "affine, flip, crop": CROP | {"flip": {}} | AFFINE | {"order": ("affine", "flip", "crop")},
    "affine, crop, flip": CROP | {"flip": {}} | AFFINE | {"order": ("affine", "crop", "flip")},
    "center crop": {"center_crop": {"fraction": 0.6}, "size": 80},
    "center crop, affine": {"center_crop": {"fraction": 0.6}, "size": 80, **AFFINE},
    "squashed": {"center_crop": {"squash": True}, "size": 96},
}
SEEDS = [[3, k] for k in range(8)]


def recipe(name):
    return augment.recipe_from(UNIT | RECIPES[name])


def coordinates():
    """An image whose red and green are y and x of the pixels' centres, and whose blue is 1."""
    y, x = np.mgrid[:HEIGHT, :WIDTH] + 0.5
    return np.stack([y / HEIGHT, x / WIDTH, np.ones_like(y)], axis=-1).astype(np.float32)


def shown(view):
    """(y, x) of what each pixel of a view shows, and which pixels show the image's inside.

    Cubic and linear weights reproduce what is linear, but not at edges, where some are left out,
    and where black comes in, which blue tells.
    """
    view = np.asarray(view, np.float64)
    black = view[..., 2] < 1 - 1e-3
    inside = np.zeros(view.shape[:2], bool)
    inside[6:-6, 6:-6] = True
    for down, across in np.ndindex(13, 13):  # all within 6 pixels
        rolled = np.roll(black, (down - 6, across - 6), (0, 1))
        inside &= ~rolled
    return view[..., :2] * (HEIGHT, WIDTH), inside


@pytest.mark.parametrize("name", RECIPES)
@pytest.mark.parametrize("seed", SEEDS, ids=str)
def test_the_pixels_of_a_view_come_from_its_place(name, seed):
    """Of every pixel as a cell of a map. float32 of 84 pixels: 1e-5 each, over a few steps."""
    made, seed = recipe(name), tf.constant(seed)
    found, inside = shown(make_view(tf.constant(coordinates()), made, seed))
    where = place_of(tf.constant([HEIGHT, WIDTH]), made, seed).numpy()
    expected = np.asarray(augment.cells(where[None], made.size, made.size))[0]
    assert where.dtype == np.float32
    assert inside.mean() > 0.1
    np.testing.assert_allclose(found[inside], expected[inside], atol=2e-3)


@pytest.mark.parametrize("name", ["crop, flip", "crop, flip, affine", "affine, flip, crop"])
def test_both_directions_of_every_choice_were_seen(name):
    """The seeds above flip some views and not others."""
    signs = {
        np.linalg.det(place_of(tf.constant([9, 9]), recipe(name), s)[:, :2]) > 0 for s in SEEDS
    }
    assert signs == {True, False}


@pytest.mark.parametrize("name", ["crop, flip", "flip, crop", "crop, flip, affine"])
def test_a_device_finishes_the_places_of_its_views(name):
    """The same in the compiled step, whose choices are others; 8 bits are 84 / 255 / 2 pixels."""
    made, index, key = recipe(name), jnp.arange(8), jax.random.key(5)
    image, shape = tf.constant(coordinates()), tf.constant([HEIGHT, WIDTH])
    crops = np.stack([host_view(image, made, tf.constant(seed)) for seed in SEEDS])
    where = np.stack([place_of(shape, made, tf.constant(s), host_only=True) for s in SEEDS])
    (views,) = augment.device.views((crops,), index, (made,), key)
    (places,) = augment.device.placed((where,), index, (made,), key)
    centres = np.asarray(augment.cells(places, made.size, made.size))
    for view, expected in zip(views, centres, strict=True):
        found, inside = shown(view)
        np.testing.assert_allclose(found[inside], expected[inside], atol=0.2)
    flips = {bool(np.linalg.det(new[:, :2]) * np.linalg.det(old[:, :2]) < 0)
             for new, old in zip(np.asarray(places), where, strict=True)}  # fmt: skip
    assert flips == ({False} if name == "flip, crop" else {True, False})


def test_places_of_a_batch_are_those_of_each_example():
    made, shape = recipe("crop, flip, affine"), tf.constant([HEIGHT, WIDTH])
    together = place_of(shape, made, tf.constant(SEEDS))
    for one, seed in zip(together, SEEDS, strict=True):
        np.testing.assert_array_equal(one, place_of(shape, made, tf.constant(seed)))


@pytest.mark.parametrize("whole_batches", [True, False])
@pytest.mark.parametrize("host_only", [False, True])
def test_batches_tell_the_places_of_their_views(monkeypatch, whole_batches, host_only):
    """Whole batches are cropped at once where images are small, others one by one."""
    monkeypatch.setattr(train_batches, "SMALL", 10**6 if whole_batches else 0)
    source = data.from_arrays({"train": (np.stack([coordinates()] * 8), np.arange(8))})
    made, key = (recipe("crop, flip"), recipe("crop, flip, affine")), jax.random.key(5)
    options = {"global_batch": 4, "seed": 3, "recipes": made, "host_only": host_only}
    batch = next(iter(data.batches(source, "train", places=True, **options)))
    views, places, index = batch["views"], batch["places"], jnp.uint32(batch["index"])
    if host_only:
        views = augment.device.views(views, index, made, key)
        places = augment.device.placed(places, index, made, key)
    for of_view, of_place, parts in zip(views, places, made, strict=True):
        centres = np.asarray(augment.cells(jnp.asarray(of_place), parts.size, parts.size))
        for view, expected in zip(of_view, centres, strict=True):
            found, inside = shown(view)
            # 8 bits of the crop, as above, or float32.
            np.testing.assert_allclose(
                found[inside], expected[inside], atol=0.2 if host_only else 2e-3
            )


def test_cells_of_a_mirrored_view_with_and_without_the_flip():
    """A crop of 4 x 6 pixels at (10, 20) in 2 x 3 cells, by hand."""
    crop = [[[4.0, 0, 10], [0, 6, 20]]]
    mirrored = [[[4.0, 0, 10], [0, -6, 26]]]
    both = jnp.array(crop + mirrored)
    y = np.array([[11, 11, 11], [13, 13, 13]])
    x = np.array([[21, 23, 25], [21, 23, 25]])
    found = augment.cells(both, 2, 3)
    np.testing.assert_allclose(found[0], np.stack([y, x], -1), rtol=1e-6)
    np.testing.assert_allclose(found[1], np.stack([y, x[:, ::-1]], -1), rtol=1e-6)
    unflipped = augment.cells(both, 2, 3, flipped=False)
    np.testing.assert_allclose(unflipped[0], found[0], rtol=1e-6)
    np.testing.assert_allclose(unflipped[1], found[0], rtol=1e-6)
