"""Encoded images to pixels, as PIL's ``Image.open(...).convert("RGB")`` gives them."""

import tensorflow as tf


def decode(encoded: tf.Tensor) -> tf.Tensor:
    """JPEG (CMYK too), PNG, WebP, BMP or the first frame of a GIF to RGB.

    Grey and palette images become colour; an alpha channel is dropped, as PIL's ``convert`` does;
    16-bit images keep their upper 8 bits. JPEGs take libjpeg's accurate inverse cosine transform,
    which is what PIL uses (TensorFlow's default differs from it by up to 3 grey levels).

    Args:
      encoded: () string, the file's content.

    Returns:
      (H, W, 3) uint8.

    Raises:
      tf.errors.InvalidArgumentError: when run, if the content is damaged or of another format.
    """
    image = tf.cond(
        tf.io.is_jpeg(encoded),
        lambda: tf.io.decode_jpeg(encoded, channels=3, dct_method="INTEGER_ACCURATE"),
        lambda: tf.io.decode_image(encoded, channels=3, expand_animations=False),
    )
    image.set_shape([None, None, 3])
    return image


def pixels(payload: tf.Tensor, kind: str) -> tf.Tensor:
    """What ``Records.fetch`` returned for one example, as (H, W, 3) uint8 or float32.

    Args:
      payload: (H, W, 1 or 3) pixels, () encoded image, or () file name.
      kind: "image", "bytes" or "path", as in ``Records.payload``.
    """
    if kind == "path":
        payload = tf.io.read_file(payload)
    if kind != "image":
        return decode(payload)
    return tf.repeat(payload, 3, axis=-1) if payload.shape[-1] == 1 else payload
