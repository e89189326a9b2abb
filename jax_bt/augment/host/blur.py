"""Pillow's Gaussian blur as banded matrix products on planes, several rows at a time."""

import tensorflow as tf

from jax_bt.augment.host.resize import banded_product

BLOCK = 16  # rows of the result that a product makes: at 224 a third of the time of whole matrices


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
    high, wide = tf.shape(planes)[1], tf.shape(planes)[2]
    down = _bands(radius, high)
    square = shape[1] is not None and shape[1] == shape[2]
    across = down if square else _bands(radius, wide)
    planes = tf.transpose(banded_product(*down, planes)[:, :high], (0, 2, 1))
    planes = tf.transpose(banded_product(*across, planes)[:, :wide], (0, 2, 1))
    return tf.ensure_shape(planes, shape)


def box_radius(sigma: tf.Tensor | float) -> tf.Tensor:
    """Radius of the box of which three passes have the variance sigma^2.

    With s = sigma^2 / 3 and l = floor((sqrt(12 s + 1) - 1) / 2), the radius is l + a,
    a = (2 l + 1) (l (l + 1) - 3 s) / (6 (s - (l + 1)^2)).
    """
    s = tf.square(tf.cast(sigma, tf.float32)) / 3.0
    whole = tf.floor((tf.sqrt(12.0 * s + 1.0) - 1.0) / 2.0)
    part = (2 * whole + 1) * (whole * (whole + 1) - 3 * s) / (6 * (s - tf.square(whole + 1)))
    return whole + part


def _bands(radius: tf.Tensor, length: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """The matrix of three passes along an axis, block by block of its rows.

    A block is cut out of the axis with what three passes reach on both sides. What is wrong at the
    ends of that cut comes no nearer to the block than that.

    Returns:
      weights: float32 (blocks, BLOCK, band); rows past `length` repeat the last.
      needed: int32 (blocks, band), the elements of the axis that the weights are for.
    """
    reach = 3 * tf.cast(tf.math.ceil(radius), tf.int32)
    starts = tf.range(0, length, BLOCK)[:, None]
    band = tf.minimum(BLOCK + 2 * reach, length)
    first = tf.clip_by_value(starts - reach, 0, length - band)
    needed = first + tf.range(band)
    box = _box(radius, needed, length)
    rows = tf.minimum(starts + tf.range(BLOCK), length - 1) - first
    return tf.gather(box, rows, batch_dims=1) @ box @ box, needed


def _box(radius: tf.Tensor, at: tf.Tensor, length: tf.Tensor) -> tf.Tensor:
    """(blocks, band, band) of one pass of the box filter between the elements `at` of an axis.

    Weight 1 for |d| <= l, a for |d| = l + 1: clip(radius + 1 - |d|, 0, 1), over 2 radius + 1. What
    would be read beyond an edge is added to the edge's own column.
    """
    at = tf.cast(at, tf.float32)
    i, j, last = at[:, :, None], at[:, None, :], tf.cast(length - 1, tf.float32)
    inside = tf.clip_by_value(radius + 1 - tf.abs(i - j), 0.0, 1.0)
    before = tf.nn.relu(radius - i) * tf.cast(j == 0, tf.float32)
    after = tf.nn.relu(radius - last + i) * tf.cast(j == last, tf.float32)
    return (inside + before + after) / (2 * radius + 1)
