"""Pillow's Gaussian blur as banded matrix products on planes, several rows at a time."""

import tensorflow as tf

BLOCK = 56  # rows of the result a product makes; at 224 half the time of the whole matrix


def gaussian_blur(planes: tf.Tensor, sigma: tf.Tensor | float) -> tf.Tensor:
    """Three passes of an extended box along each axis, the edge pixels repeated in each.

    Args:
      planes: float32 (3, H, W).
      sigma: scalar >= 0, pixels.

    Returns:
      float32 (3, H, W).

    Reference:
      Gwosdek et al., SSVM 2011; Pillow's BoxBlur.c.
    """
    shape, radius = planes.shape, box_radius(sigma)
    rows = _bands(radius, tf.shape(planes)[1], shape[1])
    square = shape[1] is not None and shape[1] == shape[2]
    columns = rows if square else _bands(radius, tf.shape(planes)[2], shape[2])
    down = [tf.matmul(weights, planes[:, first:last]) for weights, first, last in rows]
    planes = tf.concat(down, 1)
    across = [
        tf.matmul(planes[:, :, first:last], weights, transpose_b=True)
        for weights, first, last in columns
    ]
    return tf.ensure_shape(tf.concat(across, 2), shape)


def box_radius(sigma: tf.Tensor | float) -> tf.Tensor:
    """Radius of the box of which three passes have the variance sigma^2.

    With s = sigma^2 / 3 and l = floor((sqrt(12 s + 1) - 1) / 2), the radius is l + a,
    a = (2 l + 1) (l (l + 1) - 3 s) / (6 (s - (l + 1)^2)).
    """
    s = tf.square(tf.cast(sigma, tf.float32)) / 3.0
    whole = tf.floor((tf.sqrt(12.0 * s + 1.0) - 1.0) / 2.0)
    part = (2 * whole + 1) * (whole * (whole + 1) - 3 * s) / (6 * (s - tf.square(whole + 1)))
    return whole + part


def _box(radius: tf.Tensor, length: tf.Tensor) -> tf.Tensor:
    """(length, length) matrix of one pass of the box filter.

    Weight 1 for |d| <= l, a for |d| = l + 1: clip(radius + 1 - |d|, 0, 1), over 2 radius + 1. What
    would be read beyond an edge is added to the edge's own column.
    """
    at = tf.range(length)
    i, j = tf.cast(at, tf.float32)[:, None], tf.cast(at, tf.float32)[None]
    last = tf.cast(length - 1, tf.float32)
    inside = tf.clip_by_value(radius + 1 - tf.abs(i - j), 0.0, 1.0)
    before = tf.nn.relu(radius - i) * tf.cast(at == 0, tf.float32)
    after = tf.nn.relu(radius - last + i) * tf.cast(at == length - 1, tf.float32)
    return (inside + before + after) / (2 * radius + 1)


def _bands(radius: tf.Tensor, length: tf.Tensor, static: int | None) -> list[tuple]:
    """Three passes along an axis: per block of rows its weights, first and last + 1 column.

    An axis whose length is not known while tracing is one block.
    """
    box, reach = _box(radius, length), tf.cast(tf.math.ceil(radius), tf.int32)
    starts = range(0, static, BLOCK) if static is not None else [0]
    bands = []
    for start in starts:
        first, last = start, length if static is None else min(start + BLOCK, static)
        weights = None
        for _ in range(3):
            wider = tf.maximum(first - reach, 0), tf.minimum(last + reach, length)
            one = box[first:last, wider[0] : wider[1]]
            weights = one if weights is None else weights @ one
            first, last = wider
        bands.append((weights, first, last))
    return bands
