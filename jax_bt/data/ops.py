"""Image operations in TensorFlow, in the torchvision / Pillow sense.

Images are float32 (H, W, 3) in [0, 1] and every operation clips to that range, as Pillow does
after each of its own. Pillow also rounds to 8 bits after each; here nothing is rounded, as in
torchvision's float tensors. `jax_bt.augment.ops` has the same operations in JAX.

The arithmetic is in `jax_bt.data.planes`, which works with the channels apart.
"""

import numpy as np
import tensorflow as tf

from jax_bt.data import planes, resample


def _float(number: tf.Tensor | float) -> tf.Tensor:
    """float32: TensorFlow does not mix NumPy's float64 scalars with float32 tensors by itself."""
    return tf.cast(number, tf.float32)


def _planes(image: tf.Tensor) -> tf.Tensor:
    return planes.from_image(_float(image))


def brightness(image: tf.Tensor, factor: tf.Tensor | float) -> tf.Tensor:
    """Multiplies: factor * image. (SimCLR v1 adds: `brightness_additive`.)

    Args:
      image: float32 (H, W, 3) in [0, 1].
      factor: scalar >= 0; 1 changes nothing.

    Returns:
      float32 (H, W, 3) in [0, 1].
    """
    return planes.brightness(_float(image), _float(factor))


def brightness_additive(image: tf.Tensor, delta: tf.Tensor | float) -> tf.Tensor:
    """Adds: image + delta (TensorFlow's brightness, SimCLR v1).

    Args:
      image: float32 (H, W, 3) in [0, 1].
      delta: scalar in [-1, 1].

    Returns:
      float32 (H, W, 3) in [0, 1].
    """
    return planes.brightness_additive(_float(image), _float(delta))


def contrast(image: tf.Tensor, factor: tf.Tensor | float) -> tf.Tensor:
    """Blends with the mean of the grey image: factor * image + (1 - factor) * mean(luma).

    Pillow rounds that mean to a whole grey level; this does not.

    Args:
      image: float32 (H, W, 3) in [0, 1].
      factor: scalar >= 0; 1 changes nothing, 0 leaves the mean grey.

    Returns:
      float32 (H, W, 3) in [0, 1].
    """
    return planes.to_image(planes.contrast(_planes(image), _float(factor)))


def saturation(image: tf.Tensor, factor: tf.Tensor | float) -> tf.Tensor:
    """Blends with the grey image: factor * image + (1 - factor) * luma.

    Args:
      image: float32 (H, W, 3) in [0, 1].
      factor: scalar >= 0; 1 changes nothing, 0 gives the grey image.

    Returns:
      float32 (H, W, 3) in [0, 1].
    """
    return planes.to_image(planes.saturation(_planes(image), _float(factor)))


def hue(image: tf.Tensor, delta: tf.Tensor | float) -> tf.Tensor:
    """Turns the hue in HSV: h -> h + delta, s and v kept.

    Args:
      image: float32 (H, W, 3) in [0, 1].
      delta: scalar in [-0.5, 0.5], a fraction of the colour circle.

    Returns:
      float32 (H, W, 3) in [0, 1].
    """
    return planes.to_image(planes.hue(_planes(image), _float(delta)))


def grayscale(image: tf.Tensor) -> tf.Tensor:
    """ITU-R 601 luma, 0.299 R + 0.587 G + 0.114 B, in all three channels.

    Args:
      image: float32 (H, W, 3) in [0, 1].

    Returns:
      float32 (H, W, 3) in [0, 1].
    """
    return planes.to_image(planes.grayscale(_planes(image)))


def solarize(image: tf.Tensor, threshold: tf.Tensor | float = 0.5) -> tf.Tensor:
    """Inverts values at and above the threshold: v < threshold ? v : 1 - v.

    At 0.5 the 8-bit values 0 to 127 stay and 128 to 255 are inverted, Pillow's default.

    Args:
      image: float32 (H, W, 3) in [0, 1].
      threshold: scalar in [0, 1].

    Returns:
      float32 (H, W, 3) in [0, 1].
    """
    return planes.solarize(_float(image), threshold)


def gaussian_blur(image: tf.Tensor, sigma: tf.Tensor | float) -> tf.Tensor:
    """Pillow's GaussianBlur(radius=sigma): three passes of an extended box, edges repeated.

    The box of radius l + a weighs 1 for |d| <= l and a for |d| = l + 1; three passes along an axis
    are one banded matrix B^3, so the blur is B^3 image (B^3)^T. It keeps to 2.4 grey levels of the
    barlowtwins and vicreg reference, whose passes round to 8 bits; a true Gaussian with repeated
    edges is up to 20 levels off at the borders, with reflected ones 36.

    Args:
      image: float32 (H, W, 3) in [0, 1].
      sigma: scalar >= 0, pixels; 0 changes nothing.

    Returns:
      float32 (H, W, 3) in [0, 1].

    Reference:
      Gwosdek et al., Theoretical foundations of Gaussian convolution by extended box filtering,
      SSVM 2011; Pillow's BoxBlur.c.
    """
    return planes.to_image(planes.gaussian_blur(_planes(image), sigma))


def horizontal_flip(image: tf.Tensor) -> tf.Tensor:
    """Mirrors left and right.

    Args:
      image: (H, W, 3), any dtype.

    Returns:
      (H, W, 3).
    """
    return tf.reverse(image, [1])  # several times faster than the slice [:, ::-1]


def resized_crop(
    image: tf.Tensor, box: tf.Tensor | tuple, size: int | tuple[int, int], method: str = "bicubic"
) -> tf.Tensor:
    """Crops, then resizes with antialiasing, as Pillow always does.

    Bicubic is Keys' kernel with a = -0.5; overshoots are clipped.

    Args:
      image: (H, W, 3), uint8, or float32 in [0, 1].
      box: (top, left, height, width), whole pixels inside the image.
      size: of the result, pixels: the side of a square, or (height, width).
      method: "bicubic" or "bilinear".

    Returns:
      float32 (size, size, 3), or (height, width, 3), in [0, 1].

    Raises:
      ValueError: another method.
    """
    height, width = (int(side) for side in np.broadcast_to(size, 2))
    image, box = tf.convert_to_tensor(image), tf.cast(box, tf.int32)
    return resample.resize(image, (height, width), method, box=box, channels_last=True)


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

    Raises:
      ValueError: another method.
    """
    image, size = tf.convert_to_tensor(image), int(size)
    center = resample.center(tf.shape(image), size, fraction)
    return resample.resize(image, (size, size), method, **center, channels_last=True)


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
    numbers = (_float(number) for number in (angle, zoom, shift_y, shift_x))
    return planes.to_image(planes.affine(_planes(image), *numbers))


def noise(image: tf.Tensor, normal: tf.Tensor, std: tf.Tensor | float) -> tf.Tensor:
    """Adds Gaussian noise: image + std * normal, the same in the three channels.

    Args:
      image: float32 (H, W, 3) in [0, 1].
      normal: float32 (H, W), standard normal numbers.
      std: scalar >= 0.

    Returns:
      float32 (H, W, 3) in [0, 1].
    """
    return planes.clip(_float(image) + _float(std) * _float(normal)[..., None])
