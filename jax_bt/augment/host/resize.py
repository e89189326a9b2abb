"""Resizes a part of an image, antialiased, by products with banded matrices.

A row of the result depends on a few rows of the image, so the (S, H) resampling matrix is a band.
Rows of the result are made 16 at a time from the input rows they need: 82,000 random pixels to 224
take 0.7 ms on one core, by cropping and `tf.image.resize` 1.8.
"""

import numpy as np
import tensorflow as tf

BLOCK = 16  # rows of the result that are made together, at most
# Random crops have sizes of all kinds, and for every new shape the library of the matrix products
# compiles a new kernel, which takes 1 ms: sizes are rounded up to multiples of these.
COLUMNS, BAND = 64, 8
_REACH = {"bicubic": 2.0, "bilinear": 1.0}  # of the kernels, in pixels of the smaller image


def resize(
    image: tf.Tensor,
    size: tuple[int, int],
    method: str,
    *,
    box: tf.Tensor | None = None,
    whole: tuple[tf.Tensor, tf.Tensor] | None = None,
    corner: tuple[tf.Tensor, tf.Tensor] = (0, 0),
    channels_last: bool = False,
) -> tf.Tensor:
    """Crops, resizes as Pillow does, antialiased, and makes only a part of the result.

    Args:
      image: (H, W, C), uint8, uint16, or float32 in [0, 1].
      size: height and width of what is returned.
      method: "bicubic" (Keys, a = -0.5) or "bilinear".
      box: int32 (4,), top, left, height, width of the crop; None: everything. Pixels outside of it
        do not matter.
      whole: height and width of the resized crop, int32 scalars; None: `size`.
      corner: top and left of the returned part in the resized crop.
      channels_last: return an image; that is free here, from planes later it is not.

    Returns:
      float32 planes (C, *size), or (*size, C), the scale of [0, 1], overshoots clipped.

    Raises:
      ValueError: unknown method.
    """
    _check(method)
    image = tf.convert_to_tensor(image)
    channels, scale = image.shape[-1], unit_scale(image.dtype)
    shape = tf.shape(image)
    top, left, height, width = (0, 0, shape[0], shape[1]) if box is None else tf.unstack(box, 4)
    whole = size if whole is None else whole
    taken = tf.minimum(_round_up(width, COLUMNS), shape[1])
    start = tf.minimum(left, shape[1] - taken)
    # Down: rows of the image are gathered while they are still whole and 8 bits wide.
    rows = tf.reshape(image, (shape[0], shape[1] * channels))
    rows = rows[:, start * channels : (start + taken) * channels]
    weights, needed = _bands(height, whole[0], corner[0], size[0], method)
    rows = banded_product(weights * scale, needed + top, rows)[: size[0]]
    # Across: the same with the columns as rows.
    columns = tf.reshape(tf.transpose(rows), (taken, channels * size[0]))
    weights, needed = _bands(width, whole[1], corner[1], size[1], method)
    columns = banded_product(weights, needed + (left - start), columns)[: size[1]]
    columns = tf.reshape(columns, (size[1], channels, size[0]))
    last = ((2, 0, 1), (*size, channels))
    order, shape = last if channels_last else ((1, 2, 0), (channels, *size))
    return tf.ensure_shape(tf.clip_by_value(tf.transpose(columns, order), 0.0, 1.0), shape)


def center(shape: tf.Tensor, size: int, fraction: float) -> dict[str, tuple]:
    """What makes `resize` return the centre: the shorter side becomes round(size / fraction).

    As torchvision: Resize truncates the longer side, CenterCrop rounds the margins.

    Args:
      shape: int, at least (2,): height and width of the image.
      size: side of the result, pixels.
      fraction: in (0, 1].

    Returns:
      "whole" and "corner", the arguments of `resize`.
    """
    side, short = round(size / fraction), tf.minimum(shape[0], shape[1])
    whole = tuple(side * length // short for length in (shape[0], shape[1]))
    margins = (tf.cast(length - size, tf.float32) / 2 for length in whole)
    return {"whole": whole, "corner": tuple(tf.cast(tf.round(m), tf.int32) for m in margins)}


def resize_boxes(images: tf.Tensor, boxes: tf.Tensor, size: int, method: str) -> tf.Tensor:
    """`resize` of a box of each of many small images, all at once, with whole matrices.

    Args:
      images: (B, H, W, C), uint8, uint16, or float32 in [0, 1].
      boxes: int32 (B, 4): top, left, height, width.
      size: side of the result.
      method: "bicubic" or "bilinear".

    Returns:
      float32 planes (B, C, size, size), overshoots clipped.

    Raises:
      ValueError: unknown method.
    """
    _check(method)
    scale = unit_scale(images.dtype)
    top, left, height, width = tf.unstack(boxes, axis=1)
    rows = _masked(tf.shape(images)[1], top, height, size, method) * scale
    columns = _masked(tf.shape(images)[2], left, width, size, method)
    channels = tf.cast(tf.transpose(images, (0, 3, 1, 2)), tf.float32)
    out = tf.matmul(rows[:, None], tf.matmul(channels, columns[:, None], transpose_b=True))
    return tf.ensure_shape(tf.clip_by_value(out, 0.0, 1.0), (*channels.shape[:2], size, size))


def _masked(length: tf.Tensor, first: tf.Tensor, span: tf.Tensor, size: int, method: str):
    """(B, size, length): each row of weights inside its box, zeros outside."""
    scale = tf.cast(span, tf.float32)[:, None, None] / size
    wide = tf.maximum(scale, 1.0)
    middle = (tf.range(size, dtype=tf.float32)[:, None] + 0.5) * scale
    pixel = tf.range(length)[None] - first[:, None]
    inside = tf.cast((pixel >= 0) & (pixel < span[:, None]), tf.float32)
    distance = tf.abs(tf.cast(pixel, tf.float32)[:, None] + 0.5 - middle) / wide
    weights = kernel(distance, method) * inside[:, None]
    return weights / tf.reduce_sum(weights, axis=2, keepdims=True)


def unit_scale(dtype: tf.DType | np.dtype) -> float:
    """What pixels of this type are multiplied by to lie in [0, 1]."""
    dtype = tf.as_dtype(dtype)
    return 1.0 if dtype.is_floating else 1 / dtype.max


def _round_up(number: tf.Tensor, multiple: int) -> tf.Tensor:
    return -(-number // multiple) * multiple


def _check(method: str) -> None:
    if method not in _REACH:
        raise ValueError(f"resize method must be 'bicubic' or 'bilinear', got {method!r}")


def kernel(distance: tf.Tensor, method: str) -> tf.Tensor:
    """The weight of a pixel at this distance >= 0, in pixels of the smaller of the two images.

    Bicubic is written with x = (2 - d)+ and y = (1 - d)+ as x^2 (x - 1) / 2 + y^2 (1 - 2 y);
    bilinear is y.
    """
    y = tf.nn.relu(1.0 - distance)
    if method == "bilinear":
        return y
    x = tf.nn.relu(2.0 - distance)
    return x * x * (0.5 * x - 0.5) + y * y * (1.0 - 2.0 * y)


def _bands(length: tf.Tensor, whole: tf.Tensor, start: tf.Tensor, size: int, method: str):
    """The resampling matrix of an axis, block by block.

    Args:
      length: of the axis.
      whole: length of the resized axis.
      start: the first of its elements that is wanted.
      size: how many are wanted.
      method: the kernel.

    Returns:
      weights: float32 (blocks, rows, band), blocks * rows >= size; rows sum to 1.
      needed: int32 (blocks, band), the elements of the axis that the weights are for.
    """
    blocks = -(-size // BLOCK)
    rows = -(-size // blocks)
    scale = tf.cast(length, tf.float32) / tf.cast(whole, tf.float32)
    wide = tf.maximum(scale, 1.0)  # the kernel is widened when the axis shrinks
    reach = _REACH[method] * wide
    number = tf.reshape(tf.range(blocks * rows, dtype=tf.float32), (blocks, rows))
    middle = (number + (tf.cast(start, tf.float32) + 0.5)) * scale
    band = tf.cast(tf.math.ceil((rows - 1) * scale + 2 * reach), tf.int32) + 1
    band = tf.minimum(_round_up(band, BAND), length)
    first = tf.cast(tf.floor(middle[:, :1] - reach), tf.int32)
    needed = tf.clip_by_value(first, 0, length - band) + tf.range(band)
    distance = tf.cast(needed, tf.float32)[:, None] + 0.5 - middle[..., None]
    weights = kernel(tf.abs(distance) * (1.0 / wide), method)
    # Rows past `whole` may have no weight; they are cut off.
    total = tf.reduce_sum(weights, axis=2, keepdims=True)
    return tf.math.divide_no_nan(weights, total), needed


def banded_product(weights: tf.Tensor, needed: tf.Tensor, rows: tf.Tensor) -> tf.Tensor:
    """Each block of the matrix times the few rows that its band needs.

    Args:
      weights: float32 (blocks, block, band), the band of the matrix in each block of its rows.
      needed: int32 (blocks, band), the rows that the weights are for.
      rows: (..., n, m), any dtype; they are gathered before they are cast.

    Returns:
      float32 (..., blocks * block, m).
    """
    shape = (*tf.unstack(tf.shape(rows)[:-2]), -1, tf.shape(rows)[-1])
    picked = tf.cast(tf.gather(rows, needed, axis=-2), tf.float32)
    return tf.reshape(tf.matmul(weights, picked), shape)
