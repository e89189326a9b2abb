"""Draws the random numbers of a view from its seed, and the box of its crop from these.

Both work on any number of seeds at once and give each the numbers that it would have alone.
TensorFlow's stateless generators take one seed per call, which costs 30 microseconds.
"""

import math

import numpy as np
import tensorflow as tf

from jax_bt.augment import splitmix
from jax_bt.augment.choices import COUNT
from jax_bt.augment.parts import Crop

TRIES = 10
# Uniform numbers of a box: area and ratio of each try, then top and left.
BOX_COUNT = 2 * TRIES + 2


def uniforms(seed: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """The uniform numbers of a view: (COUNT,) for `parameters` and (BOX_COUNT,) for `random_box`.

    The seed is the state of a SplitMix64 generator; a number is the upper 24 bits of a word.

    Args:
      seed: int32 or uint32 (..., 2), the two halves of a 64-bit word that names the view.

    Returns:
      float32 (..., COUNT) and (..., BOX_COUNT) in [0, 1).
    """
    seed = tf.cast(seed, tf.uint32)
    upper, lower = tf.unstack(tf.cast(seed, tf.uint64), axis=-1)
    state = upper * np.uint64(2**32) + lower
    steps = np.arange(1, COUNT + BOX_COUNT + 1, dtype=np.uint64) * np.uint64(splitmix.GOLDEN)
    word = splitmix.mix(state[..., None] + steps) // np.uint64(2**40)
    drawn = tf.cast(tf.cast(word, tf.int32), tf.float32) * 2.0**-24
    return drawn[..., :COUNT], drawn[..., COUNT:]


def random_box(shape: tf.Tensor, crop: Crop, uniform: tf.Tensor) -> tf.Tensor:
    """The box of a random resized crop, distributed as torchvision's get_params.

    Ten tries: area ~ U[scale] of the image, log(w / h) ~ U[log ratio], sides rounded; the first
    that fits is placed uniformly. If none fits, the largest central box with the ratio clamped.

    Args:
      shape: int, at least (2,): height and width of the image or of every image.
      crop: scale and ratio.
      uniform: float32 (..., BOX_COUNT) in [0, 1).

    Returns:
      int32 (..., 4): top, left, height, width.
    """
    high, wide = tf.cast(shape[0], tf.int32), tf.cast(shape[1], tf.int32)
    high_f, wide_f = tf.cast(high, tf.float32), tf.cast(wide, tf.float32)
    low, up = math.log(crop.ratio[0]), math.log(crop.ratio[1])
    areas, logs = uniform[..., :TRIES], uniform[..., TRIES : 2 * TRIES]
    areas = high_f * wide_f * (crop.scale[0] + (crop.scale[1] - crop.scale[0]) * areas)
    ratios = tf.exp(low + (up - low) * logs)
    widths = _round(tf.sqrt(areas * ratios))
    heights = _round(tf.sqrt(areas / ratios))
    fits = (widths > 0) & (widths <= wide) & (heights > 0) & (heights <= high)
    first = tf.one_hot(tf.argmax(fits, axis=-1), TRIES, dtype=tf.int32)  # the first True
    found = tf.reduce_any(fits, axis=-1)

    ratio = wide_f / high_f
    fall_height = tf.where(ratio < crop.ratio[0], _round(wide_f / crop.ratio[0]), high)
    fall_width = tf.where(ratio > crop.ratio[1], _round(high_f * crop.ratio[1]), wide)
    height = tf.where(found, tf.reduce_sum(heights * first, axis=-1), fall_height)
    width = tf.where(found, tf.reduce_sum(widths * first, axis=-1), fall_width)

    def place(room, number):
        # number < 1, but number * (room + 1) may round up to room + 1.
        at = tf.cast(tf.floor(number * tf.cast(room + 1, tf.float32)), tf.int32)
        return tf.where(found, tf.minimum(at, room), room // 2)

    top = place(high - height, uniform[..., -2])
    left = place(wide - width, uniform[..., -1])
    return tf.stack([top, left, height, width], axis=-1)


def _round(number: tf.Tensor) -> tf.Tensor:
    return tf.cast(tf.round(number), tf.int32)
