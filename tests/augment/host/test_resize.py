"""Crops and resizing, against Pillow, torchvision and TensorFlow."""

import numpy as np
import pytest
import tensorflow as tf

from jax_bt.augment.host import resize


def levels(actual, expected):
    expected = np.asarray(expected, np.float64) / (255 if expected.dtype == np.uint8 else 1)
    return np.abs(np.asarray(actual, np.float64) - np.clip(expected, 0, 1)) * 255


def resized_crop(image, box, size, method="bicubic"):
    """A box of an image, resized to a square or to (height, width)."""
    size = (size, size) if isinstance(size, int) else size
    return resize.resize(image, size, method, box=box, channels_last=True).numpy()


def center_crop(image, size, fraction, method="bicubic"):
    """The centre of a resized image."""
    where = resize.center(tf.shape(image), size, fraction)
    return resize.resize(image, (size, size), method, **where, channels_last=True).numpy()


@pytest.mark.parametrize("number", range(7))
def test_resized_crop_against_pillow_and_torchvision(golden, number):
    """torchvision's float tensors to float32 rounding; Pillow rounds twice, and clips between."""
    data = golden("augment_resized_crop")
    *box, size = (int(side) for side in data["boxes"][number])
    pillow = np.stack([resized_crop(image, box, size) for image in data["images"]])
    assert pillow.shape == (2, size, size, 3)
    assert pillow.dtype == np.float32
    distance = levels(pillow, data[f"crop{number}_pil"])
    assert distance.max() < 4
    assert distance.mean() < 0.35
    image = (data["images"][0] / 255).astype(np.float32)
    for method, name in (("bicubic", "float"), ("bilinear", "float_bilinear")):
        if f"crop{number}_{name}" in data:
            ours = resized_crop(image, tf.constant(box), size, method=method)
            assert levels(ours, data[f"crop{number}_{name}"][0]).max() < 1e-3


def test_resized_crop_of_everything_is_the_image():
    image = np.random.default_rng(0).integers(0, 256, (13, 13, 3), np.uint8)
    np.testing.assert_allclose(resized_crop(image, (0, 0, 13, 13), 13), image / 255, atol=1e-6)


def test_resized_crop_to_another_shape():
    image = np.random.default_rng(0).integers(0, 256, (40, 30, 3), np.uint8)
    box = (2, 3, 35, 20)
    theirs = tf.image.resize(image[2:37, 3:23], (12, 33), "bicubic", antialias=True) / 255
    ours = resized_crop(image, box, (12, 33))
    np.testing.assert_allclose(ours, np.clip(theirs, 0, 1), atol=1e-5)


@pytest.mark.parametrize("shape", [(40, 60), (701, 503), (5, 900)])
@pytest.mark.parametrize("method", ["bicubic", "bilinear"])
def test_resize_equals_tensorflows_own(shape, method):
    """For small and large images, shrunk and enlarged."""
    image = np.random.default_rng(1).integers(0, 256, (*shape, 3), np.uint8)
    ours = resized_crop(image, (0, 0, *shape), 48, method)
    theirs = tf.image.resize(image, (48, 48), method, antialias=True) / 255
    np.testing.assert_allclose(ours, np.clip(theirs, 0, 1), atol=1e-5)


def test_center_crop_is_resize_and_crop():
    image = np.random.default_rng(2).integers(0, 256, (75, 100, 3), np.uint8)
    whole = tf.image.resize(image, (64, 85), "bicubic", antialias=True) / 255
    ours = center_crop(image, 56, 0.875)  # 56 / 0.875 = 64; 64 * 100 // 75 = 85
    np.testing.assert_allclose(ours, np.clip(whole[4:60, 14:70], 0, 1), atol=1e-5)
    upright = center_crop(image.transpose(1, 0, 2), 56, 0.875)
    np.testing.assert_allclose(upright, np.asarray(ours).transpose(1, 0, 2), atol=1e-5)
    square = image[:32, :32]
    np.testing.assert_allclose(center_crop(square, 32, 1.0), square / 255, atol=1e-6)


def test_unknown_method_is_named():
    with pytest.raises(ValueError, match="'bicubic' or 'bilinear', got 'nearest'"):
        resized_crop(np.zeros((8, 8, 3), np.uint8), (0, 0, 8, 8), 4, method="nearest")


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("channels", [1, 3, 10])
def test_every_channel_is_resized_alone(dtype, channels):
    """Whole numbers are scaled by the largest of their type."""
    top = np.iinfo(dtype).max
    image = np.random.default_rng(3).integers(0, top + 1, (21, 30, channels), dtype)
    ours = resized_crop(image, (3, 4, 17, 25), 9)
    assert ours.shape == (9, 9, channels)
    unit = tf.constant(image / top, tf.float32)
    for channel in range(channels):
        alone = resized_crop(unit[..., channel : channel + 1], (3, 4, 17, 25), 9)
        np.testing.assert_allclose(ours[..., channel : channel + 1], alone, atol=1e-6)
    boxes = tf.constant([[3, 4, 17, 25]])
    (planes,) = resize.resize_boxes(image[None], boxes, 9, "bicubic").numpy()
    np.testing.assert_allclose(planes.transpose(1, 2, 0), ours, atol=1e-6)
