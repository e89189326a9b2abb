"""Image operations in TensorFlow, in the torchvision / Pillow sense.

Images are float32 (H, W, 3) in [0, 1] and every operation clips to that range, as Pillow does
after each of its own. Pillow also rounds to 8 bits after each; here nothing is rounded, as in
torchvision's float tensors. `jax_bt.augment.ops` has the same operations in JAX.
"""

import tensorflow as tf

# ITU-R 601; torchvision's and Pillow's digits.
_LUMA = (0.299, 0.587, 0.114)


def _clip(image: tf.Tensor) -> tf.Tensor:
    return tf.clip_by_value(image, 0.0, 1.0)


def _luma(image: tf.Tensor) -> tf.Tensor:
    """(H, W, 1) grey values."""
    red, green, blue = tf.split(image, 3, axis=-1)
    return _LUMA[0] * red + _LUMA[1] * green + _LUMA[2] * blue


def brightness(image: tf.Tensor, factor: tf.Tensor | float) -> tf.Tensor:
    """Multiplies: factor * image. (SimCLR v1 adds: `brightness_additive`.)

    Args:
      image: float32 (H, W, 3) in [0, 1].
      factor: scalar >= 0; 1 changes nothing.

    Returns:
      float32 (H, W, 3) in [0, 1].
    """
    return _clip(image * factor)


def brightness_additive(image: tf.Tensor, delta: tf.Tensor | float) -> tf.Tensor:
    """Adds: image + delta (TensorFlow's brightness, SimCLR v1).

    Args:
      image: float32 (H, W, 3) in [0, 1].
      delta: scalar in [-1, 1].

    Returns:
      float32 (H, W, 3) in [0, 1].
    """
    return _clip(image + delta)


def contrast(image: tf.Tensor, factor: tf.Tensor | float) -> tf.Tensor:
    """Blends with the mean of the grey image: factor * image + (1 - factor) * mean(luma).

    Pillow rounds that mean to a whole grey level; this does not.

    Args:
      image: float32 (H, W, 3) in [0, 1].
      factor: scalar >= 0; 1 changes nothing, 0 leaves the mean grey.

    Returns:
      float32 (H, W, 3) in [0, 1].
    """
    # The mean of the luma is the luma of the means: three sums instead of a grey image.
    mean = tf.tensordot(tf.reduce_mean(image, axis=(0, 1)), tf.constant(_LUMA), 1)
    return _clip(factor * image + (1.0 - factor) * mean)


def saturation(image: tf.Tensor, factor: tf.Tensor | float) -> tf.Tensor:
    """Blends with the grey image: factor * image + (1 - factor) * luma.

    Args:
      image: float32 (H, W, 3) in [0, 1].
      factor: scalar >= 0; 1 changes nothing, 0 gives the grey image.

    Returns:
      float32 (H, W, 3) in [0, 1].
    """
    return _clip(factor * image + (1.0 - factor) * _luma(image))


def hue(image: tf.Tensor, delta: tf.Tensor | float) -> tf.Tensor:
    """Turns the hue in HSV.

    Args:
      image: float32 (H, W, 3) in [0, 1].
      delta: scalar in [-0.5, 0.5], a fraction of the colour circle.

    Returns:
      float32 (H, W, 3) in [0, 1].
    """
    return _clip(tf.image.adjust_hue(image, delta))


def grayscale(image: tf.Tensor) -> tf.Tensor:
    """ITU-R 601 luma, 0.299 R + 0.587 G + 0.114 B, in all three channels.

    Args:
      image: float32 (H, W, 3) in [0, 1].

    Returns:
      float32 (H, W, 3) in [0, 1].
    """
    return tf.repeat(_clip(_luma(image)), 3, axis=-1)


def solarize(image: tf.Tensor, threshold: tf.Tensor | float = 0.5) -> tf.Tensor:
    """Inverts values at and above the threshold: v < threshold ? v : 1 - v.

    At 0.5 the 8-bit values 0 to 127 stay and 128 to 255 are inverted, Pillow's default.

    Args:
      image: float32 (H, W, 3) in [0, 1].
      threshold: scalar in [0, 1].

    Returns:
      float32 (H, W, 3) in [0, 1].
    """
    return _clip(tf.where(image < threshold, image, 1.0 - image))


def box_radius(sigma: tf.Tensor | float) -> tf.Tensor:
    """Radius of the box of which three passes have the variance sigma^2 (see `gaussian_blur`).

    With s = sigma^2 / 3 and l = floor((sqrt(12 s + 1) - 1) / 2), the radius is l + a,
    a = (2 l + 1) (l (l + 1) - 3 s) / (6 (s - (l + 1)^2)).

    Args:
      sigma: scalar >= 0, pixels.

    Returns:
      float32 scalar, pixels.

    Reference:
      Gwosdek et al., Theoretical foundations of Gaussian convolution by extended box filtering,
      SSVM 2011, which Pillow implements.
    """
    s = tf.square(tf.cast(sigma, tf.float32)) / 3.0
    whole = tf.floor((tf.sqrt(12.0 * s + 1.0) - 1.0) / 2.0)
    part = (2 * whole + 1) * (whole * (whole + 1) - 3 * s) / (6 * (s - tf.square(whole + 1)))
    return whole + part


def _box(radius: tf.Tensor, length: tf.Tensor) -> tf.Tensor:
    """(length, length) matrix of one pass of the box filter, the edge pixels repeated outwards."""
    at = tf.range(length)
    i, j = tf.cast(at, tf.float32)[:, None], at[None]
    last = tf.cast(length - 1, tf.float32)
    inside = tf.clip_by_value(radius + 1 - tf.abs(i - tf.cast(j, tf.float32)), 0.0, 1.0)
    before = tf.where(j == 0, tf.maximum(radius - i, 0.0), 0.0)
    after = tf.where(j == length - 1, tf.maximum(radius - (last - i), 0.0), 0.0)
    return (inside + before + after) / (2 * radius + 1)


def gaussian_blur(image: tf.Tensor, sigma: tf.Tensor | float) -> tf.Tensor:
    """Pillow's GaussianBlur(radius=sigma): three passes of an extended box, edges repeated.

    The box has whole weight for |d| <= l and weight a for |d| = l + 1 (`box_radius`); the three
    passes along an axis are one banded matrix, so the blur is B^3 image (B^3)^T.
    It keeps the barlowtwins and vicreg reference to 2.4 grey levels (their own rounding after each
    pass); a true Gaussian with repeated edges is up to 20 levels off at the borders.

    Args:
      image: float32 (H, W, 3) in [0, 1].
      sigma: scalar >= 0, pixels; 0 changes nothing.

    Returns:
      float32 (H, W, 3) in [0, 1].

    Reference:
      Gwosdek et al., SSVM 2011; Pillow's BoxBlur.c.
    """
    height, width = tf.shape(image)[0], tf.shape(image)[1]
    radius = box_radius(sigma)
    down = _box(radius, height)
    down = down @ down @ down
    across = _box(radius, width)
    across = across @ across @ across
    planes = tf.transpose(image, (2, 0, 1))  # the matrix products want the channels apart
    planes = tf.matmul(down, tf.matmul(planes, across, transpose_b=True))
    return tf.ensure_shape(_clip(tf.transpose(planes, (1, 2, 0))), image.shape)


def horizontal_flip(image: tf.Tensor) -> tf.Tensor:
    """Mirrors left and right.

    Args:
      image: (H, W, 3), any dtype.

    Returns:
      (H, W, 3).
    """
    # Gathering columns is several times faster than tf.reverse on (H, W, 3).
    return tf.gather(image, tf.range(tf.shape(image)[1] - 1, -1, -1), axis=1)


def resized_crop(
    image: tf.Tensor, box: tf.Tensor | tuple, size: int, method: str = "bicubic"
) -> tf.Tensor:
    """Crops, then resizes to a square with antialiasing, as Pillow always does.

    Bicubic is Keys' kernel with a = -0.5; overshoots are clipped.

    Args:
      image: (H, W, 3), uint8, or float32 in [0, 1].
      box: (top, left, height, width), whole pixels inside the image.
      size: side of the result, pixels.
      method: "bicubic" or "bilinear".

    Returns:
      float32 (size, size, 3) in [0, 1].
    """
    top, left, height, width = tf.unstack(tf.cast(box, tf.int32))
    crop = image[top : top + height, left : left + width]
    return _clip(_resize(crop, (size, size), method))


def _resize(image: tf.Tensor, shape: tuple, method: str) -> tf.Tensor:
    scale = 1 / 255 if image.dtype == tf.uint8 else 1.0
    out = tf.image.resize(image, shape, method=method, antialias=True)
    return out if scale == 1.0 else out * scale


def center_crop(
    image: tf.Tensor, size: int, fraction: float = 0.875, method: str = "bicubic"
) -> tf.Tensor:
    """Resizes the shorter side to round(size / fraction) and takes the central square.

    Args:
      image: (H, W, 3), uint8, or float32 in [0, 1].
      size: side of the result, pixels.
      fraction: in (0, 1]; 0.875 is the usual 256 and 224.
      method: "bicubic" or "bilinear".

    Returns:
      float32 (size, size, 3) in [0, 1].
    """
    side = round(size / fraction)
    height, width = tf.shape(image)[0], tf.shape(image)[1]
    # torchvision's Resize truncates the longer side, its CenterCrop rounds the margin.
    short = tf.minimum(height, width)
    height, width = side * height // short, side * width // short
    whole = _resize(image, (height, width), method)
    top = tf.cast(tf.round(tf.cast(height - size, tf.float32) / 2), tf.int32)
    left = tf.cast(tf.round(tf.cast(width - size, tf.float32) / 2), tf.int32)
    out = _clip(whole[top : top + size, left : left + size])
    return tf.ensure_shape(out, (size, size, 3))


def affine(
    image: tf.Tensor,
    angle: tf.Tensor | float,
    zoom: tf.Tensor | float,
    shift_y: tf.Tensor | float,
    shift_x: tf.Tensor | float,
) -> tf.Tensor:
    """Rotates, scales and shifts about the centre; bilinear, black outside.

    Args:
      image: float32 (H, W, 3) in [0, 1].
      angle: scalar, radians, counter-clockwise as seen.
      zoom: scalar > 0; above 1 enlarges.
      shift_y, shift_x: scalars, fractions of the height and width, down and right.

    Returns:
      float32 (H, W, 3) in [0, 1].
    """
    height, width = tf.shape(image)[0], tf.shape(image)[1]
    mid_y, mid_x = tf.cast(height - 1, tf.float32) / 2, tf.cast(width - 1, tf.float32) / 2
    cos, sin = tf.cos(angle) / zoom, tf.sin(angle) / zoom
    to_y = mid_y + shift_y * tf.cast(height, tf.float32)
    to_x = mid_x + shift_x * tf.cast(width, tf.float32)
    # Where each output pixel (x, y) is read: a rotation by the opposite angle about the centre.
    across = (cos, -sin, mid_x - cos * to_x + sin * to_y)
    down = (sin, cos, mid_y - sin * to_x - cos * to_y)
    transform = tf.stack([*across, *down, 0.0, 0.0])
    out = tf.raw_ops.ImageProjectiveTransformV3(
        images=image[None],
        transforms=transform[None],
        output_shape=tf.stack([height, width]),
        fill_value=0.0,
        interpolation="BILINEAR",
        fill_mode="CONSTANT",
    )
    return tf.ensure_shape(_clip(out[0]), image.shape)


def noise(image: tf.Tensor, normal: tf.Tensor, std: tf.Tensor | float) -> tf.Tensor:
    """Adds Gaussian noise: image + std * normal.

    Args:
      image: float32 (H, W, 3) in [0, 1].
      normal: float32 (H, W, 1), standard normal numbers.
      std: scalar >= 0.

    Returns:
      float32 (H, W, 3) in [0, 1].
    """
    return _clip(image + std * normal)
