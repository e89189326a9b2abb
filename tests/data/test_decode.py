"""Encoded images to pixels, beside Pillow."""

import io

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from jax_bt.data.decode import decode, pixels

from .conftest import picture


def encoded(image: Image.Image, kind: str, **options) -> bytes:
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


CASES = {
    "jpeg": ("JPEG", "RGB", {"quality": 90}, 0),
    "jpeg without subsampling": ("JPEG", "RGB", {"subsampling": 0}, 0),
    "progressive jpeg": ("JPEG", "RGB", {"progressive": True}, 0),
    "grey jpeg": ("JPEG", "L", {}, 0),
    "cmyk jpeg": ("JPEG", "CMYK", {}, 1),  # Pillow rounds the product of two levels differently
    "png": ("PNG", "RGB", {}, 0),
    "grey png": ("PNG", "L", {}, 0),
    "palette png": ("PNG", "P", {}, 0),
    "black and white png": ("PNG", "1", {}, 0),
    "png with alpha": ("PNG", "RGBA", {}, 0),
    "grey png with alpha": ("PNG", "LA", {}, 0),
    "webp": ("WEBP", "RGB", {"lossless": True}, 0),
    "bmp": ("BMP", "RGB", {}, 0),
    "gif": ("GIF", "RGB", {}, 0),
}


@pytest.mark.parametrize("case", CASES)
def test_the_pixels_of_pillow(case):
    kind, mode, options, levels = CASES[case]
    image = Image.fromarray(picture(1, 41, 53))
    if mode.endswith("A"):
        image.putalpha(Image.fromarray(picture(2, 41, 53)[..., 0]))
    content = encoded(image.convert(mode), kind, **options)
    expected = np.array(Image.open(io.BytesIO(content)).convert("RGB"))
    ours = decode(tf.constant(content)).numpy()
    assert ours.dtype == np.uint8
    assert ours.shape == (41, 53, 3)
    np.testing.assert_allclose(ours.astype(int), expected.astype(int), atol=levels)


def test_sixteen_bits_keep_their_upper_half():
    levels = np.arange(0, 65536, 257, dtype=np.uint16).reshape(16, 16)
    ours = decode(tf.constant(encoded(Image.fromarray(levels), "PNG"))).numpy()
    np.testing.assert_array_equal(ours[..., 0], levels >> 8)


def test_pixels_by_kind(tmp_path):
    image = picture(3)
    content = encoded(Image.fromarray(image), "PNG")
    path = tmp_path / "ä.png"
    path.write_bytes(content)
    np.testing.assert_array_equal(pixels(tf.constant(image), "image"), image)
    np.testing.assert_array_equal(pixels(tf.constant(content), "bytes"), image)
    np.testing.assert_array_equal(pixels(tf.constant(str(path)), "path"), image)
    grey = pixels(tf.constant(image[..., :1]), "image").numpy()
    np.testing.assert_array_equal(grey, np.repeat(image[..., :1], 3, -1))
