"""Decodes images to the pixels that Pillow gives, upright and in RGB."""

import io

import numpy as np
import tensorflow as tf
from PIL import Image, ImageOps, UnidentifiedImageError

_PNG = b"\x89PNG\r\n\x1a\n"
# The orientation tag of EXIF data (0x0112, one short) with a value other than 1, in either byte
# order. Cameras write it at the beginning; searching all of a photograph would cost 10 % more.
_TURNED = (
    r"\C*(Exif\x00\x00|eXIf)\C*"
    r"(\x12\x01\x03\x00\x01\x00\x00\x00[\x02-\x08]\x00|\x01\x12\x00\x03\x00\x00\x00\x01\x00[\x02-\x08])"
    r"\C*"
)
_SEARCHED = 4096  # bytes


def decode(encoded: tf.Tensor) -> tf.Tensor:
    """Any image that Pillow reads to RGB: ``exif_transpose(Image.open(f)).convert("RGB")``.

    Grey and palette images become colour, an alpha channel is dropped, of 16 bits the upper 8 are
    kept, of several frames or pages the first. TensorFlow decodes JPEG and PNG, which is faster
    and gives the same pixels (CMYK within one grey level); Pillow decodes what is left.

    Args:
      encoded: () string, the file's content.

    Returns:
      (H, W, 3) uint8.

    Raises:
      tf.errors.OpError: when run, if the content is damaged or of another format. Outside of a
        graph Pillow's own errors come through.
    """
    turned = tf.strings.regex_full_match(tf.strings.substr(encoded, 0, _SEARCHED), _TURNED)
    is_jpeg = tf.io.is_jpeg(encoded)
    is_png = tf.strings.substr(encoded, 0, len(_PNG)) == _PNG
    image = tf.cond(
        turned | ~(is_jpeg | is_png),
        lambda: tf.numpy_function(_by_pillow, [encoded], tf.uint8, stateful=False),
        lambda: tf.cond(
            is_jpeg,
            # libjpeg's accurate inverse cosine transform is what Pillow uses; TensorFlow's default
            # differs from it by up to 3 grey levels.
            lambda: tf.io.decode_jpeg(encoded, channels=3, dct_method="INTEGER_ACCURATE"),
            lambda: tf.io.decode_png(encoded, channels=3),
        ),
    )
    image.set_shape([None, None, 3])
    return image


def _by_pillow(encoded: bytes | np.ndarray) -> np.ndarray:
    encoded = np.asarray(encoded, object).item()  # an array of one where no graph is built
    try:
        with Image.open(io.BytesIO(encoded)) as opened:
            image = ImageOps.exif_transpose(opened)
            if image.mode.startswith("I;16"):  # convert would clip to 255 instead
                grey = (np.asarray(image) >> 8).astype(np.uint8)
                return np.repeat(grey[..., None], 3, axis=-1)
            return np.array(image.convert("RGB"))
    except UnidentifiedImageError:  # whose message is the address of an object
        what = "not an image of a known format" if encoded else "the file is empty"
        raise ValueError(what) from None


def pixels(payload: tf.Tensor, kind: str) -> tf.Tensor:
    """What ``Records.fetch`` returned for one example, as (H, W, C) pixels.

    Args:
      payload: (H, W, C) pixels, () encoded image, or () file name.
      kind: "image", "bytes" or "path", as in ``Records.payload``.

    Returns:
      (H, W, 3) uint8 of an encoded image; pixels as they are, one channel repeated three times.
    """
    if kind == "path":
        payload = tf.io.read_file(payload)
    if kind != "image":
        return decode(payload)
    # Not tf.repeat, which knows no uint16.
    return tf.concat([payload] * 3, axis=-1) if payload.shape[-1] == 1 else payload
