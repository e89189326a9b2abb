"""Encoded images to pixels, beside Pillow."""

import io
import pathlib

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image, ImageOps

from jax_bt.data.damaged import undecodable
from jax_bt.data.decode import decode, pixels

from .conftest import picture

GOLDEN = pathlib.Path(__file__).parents[1] / "golden"


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
    "palette bmp": ("BMP", "P", {}, 0),
    "black and white bmp": ("BMP", "1", {}, 0),
    "webp with alpha": ("WEBP", "RGBA", {"lossless": True}, 0),
    "tiff": ("TIFF", "RGB", {"compression": "tiff_lzw"}, 0),
    "cmyk tiff": ("TIFF", "CMYK", {}, 0),
    "ppm": ("PPM", "RGB", {}, 0),
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


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_turned_pictures_are_put_upright(kind, orientation):
    """As cameras tell by EXIF, in both byte orders (Pillow writes TIFF's own in little endian)."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    for endian in "<>":
        exif.endian = endian
        content = encoded(Image.fromarray(picture(1, 16, 24)), kind, exif=exif)
        expected = ImageOps.exif_transpose(Image.open(io.BytesIO(content))).convert("RGB")
        assert expected.size == ((24, 16) if orientation < 5 else (16, 24))
        np.testing.assert_array_equal(decode(tf.constant(content)), np.array(expected))


@pytest.mark.parametrize("file", sorted(p.name for p in (GOLDEN / "images").iterdir()))
def test_files_of_many_formats(golden, file):
    """Alone, and in the graph of a pipeline; the expected pixels were computed elsewhere."""
    data, path = golden("images_expected"), GOLDEN / "images" / file
    if f"rgb/{file}" not in data:
        assert undecodable(str(path), "path")
        return
    expected = data[f"rgb/{file}"]
    (ours,) = tf.data.Dataset.from_tensors(path.read_bytes()).map(decode).as_numpy_iterator()
    np.testing.assert_array_equal(decode(tf.constant(path.read_bytes())), ours)
    assert ours.dtype == np.uint8
    # Decoders of lossy formats may differ by a grey level between machines.
    lossy = path.suffix in (".jpg", ".JPEG") or file == "lossy.webp"
    assert ours.shape == expected.shape
    assert np.abs(ours.astype(int) - expected).max() <= lossy


def test_a_frame_of_an_animation():
    frames = [Image.fromarray(picture(seed, 20, 30)) for seed in range(3)]
    for kind in ("GIF", "WEBP"):
        content = encoded(frames[0], kind, save_all=True, append_images=frames[1:])
        expected = np.array(Image.open(io.BytesIO(content)).convert("RGB"))
        np.testing.assert_array_equal(decode(tf.constant(content)), expected)


def test_sixteen_bits_keep_their_upper_half():
    levels = np.arange(0, 65536, 257, dtype=np.uint16).reshape(16, 16)
    for kind in ("PNG", "TIFF"):
        ours = decode(tf.constant(encoded(Image.fromarray(levels), kind))).numpy()
        np.testing.assert_array_equal(ours, np.repeat(levels[..., None] >> 8, 3, -1))


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
    deep = pixels(tf.constant(image[..., :1].astype(np.uint16)), "image").numpy()
    assert deep.dtype == np.uint16
    np.testing.assert_array_equal(deep, grey)
