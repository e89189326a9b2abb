"""Image operations in JAX as torchvision and Pillow define them: the twins of `augment.host.ops`.

Images are float32 (H, W, C) in [0, 1] and every operation clips to that range; contrast,
saturation, hue and grayscale need C = 3. All are pure, of static shape and without control flow,
so that `jax.vmap` batches them at no cost.
"""

import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from jax_bt.augment import formulas
from jax_bt.augment.formulas import HUE_MIDDLES, LUMA


def clip(image: ArrayLike) -> Array:
    """Clips to [0, 1]."""
    return jnp.clip(image, 0.0, 1.0)


def normalize(image: Array, mean: tuple[float, ...], std: tuple[float, ...]) -> Array:
    """Standardises: (image - mean) / std, per channel.

    Args:
      image: float32 (H, W, C) in [0, 1].
      mean, std: C numbers each, in the scale of the image.

    Returns:
      float32 (H, W, C).
    """
    return (image - jnp.asarray(mean)) / jnp.asarray(std)


def _luma(image: Array) -> Array:
    """(H, W, 1) grey values."""
    red, green, blue = jnp.split(image, 3, axis=-1)
    return LUMA[0] * red + LUMA[1] * green + LUMA[2] * blue


def _mean_luma(image: Array) -> Array:
    mean = jnp.mean(jnp.mean(image, axis=0), axis=0)  # two short sums: 1e-7 instead of 1e-5
    return LUMA[0] * mean[0] + LUMA[1] * mean[1] + LUMA[2] * mean[2]


def brightness(image: Array, factor: ArrayLike) -> Array:
    """Multiplies: factor * image.

    Args:
      image: float32 (H, W, C) in [0, 1].
      factor: scalar >= 0; 1 changes nothing.

    Returns:
      float32 (H, W, C) in [0, 1].
    """
    return clip(image * factor)


def brightness_additive(image: Array, delta: ArrayLike) -> Array:
    """Adds: image + delta (SimCLR v1).

    Args:
      image: float32 (H, W, C) in [0, 1].
      delta: scalar in [-1, 1].

    Returns:
      float32 (H, W, C) in [0, 1].
    """
    return clip(image + delta)


def contrast(image: Array, factor: ArrayLike) -> Array:
    """Blends with the mean of the grey image: factor * image + (1 - factor) * mean(luma).

    Args:
      image: float32 (H, W, 3) in [0, 1].
      factor: scalar >= 0; 1 changes nothing, 0 leaves the mean grey.

    Returns:
      float32 (H, W, 3) in [0, 1].
    """
    return clip(factor * image + (1.0 - factor) * _mean_luma(image))


def saturation(image: Array, factor: ArrayLike) -> Array:
    """Blends with the grey image: factor * image + (1 - factor) * luma.

    Args:
      image: float32 (H, W, 3) in [0, 1].
      factor: scalar >= 0; 1 changes nothing, 0 gives the grey image.

    Returns:
      float32 (H, W, 3) in [0, 1].
    """
    return clip(factor * image + (1.0 - factor) * _luma(image))


def hue(image: Array, delta: ArrayLike) -> Array:
    """Turns the hue in HSV: h -> h + delta, s and v kept.

    With v the largest and c the range of the three values and h in sixths of the circle, the new
    channels are v - c * clip(2 - |h + 6 delta - m|, 0, 1), the distance taken around the circle
    from m = 3, 5, 1 for red, green, blue.

    Args:
      image: float32 (H, W, 3) in [0, 1].
      delta: scalar in [-0.5, 0.5], a fraction of the colour circle.

    Returns:
      float32 (H, W, 3) in [0, 1].
    """
    red, green, blue = image[..., 0], image[..., 1], image[..., 2]
    value = jnp.maximum(jnp.maximum(red, green), blue)
    chroma = value - jnp.minimum(jnp.minimum(red, green), blue)
    over = 1.0 / jnp.maximum(chroma, 1e-9)  # grey has no hue: any will do, its chroma is 0
    # Not value == red: a compiler may compute red twice with different rounding, and where nothing
    # is the largest the hue would be anything. At a tie of two channels their formulas agree.
    sixths = jnp.where(
        red >= jnp.maximum(green, blue),
        (green - blue) * over,
        jnp.where(green >= blue, 2.0 + (blue - red) * over, 4.0 + (red - green) * over),
    )

    def channel(middle: float) -> Array:
        away = sixths + (6.0 * delta - middle)
        away = jnp.abs(away - 6.0 * jnp.round(away / 6.0))  # jnp.mod is ten times as slow on a CPU
        return value - chroma * jnp.clip(2.0 - away, 0.0, 1.0)

    return clip(jnp.stack([channel(middle) for middle in HUE_MIDDLES], axis=-1))


def grayscale(image: Array) -> Array:
    """ITU-R 601 luma, 0.299 R + 0.587 G + 0.114 B, in all three channels.

    Args:
      image: float32 (H, W, 3) in [0, 1].

    Returns:
      float32 (H, W, 3) in [0, 1].
    """
    return jnp.broadcast_to(clip(_luma(image)), image.shape)


def solarize(image: Array, threshold: ArrayLike = 0.5) -> Array:
    """Inverts values at and above the threshold: v < threshold ? v : 1 - v.

    Args:
      image: float32 (H, W, C) in [0, 1].
      threshold: scalar in [0, 1]; 0.5 parts the 8-bit values 127 and 128, as Pillow does.

    Returns:
      float32 (H, W, C) in [0, 1].
    """
    return clip(jnp.where(image < threshold, image, 1.0 - image))


def gaussian_blur(image: Array, sigma: ArrayLike) -> Array:
    """Pillow's GaussianBlur(radius=sigma): three passes of an extended box, edges repeated.

    The three passes along an axis are one banded matrix, so the blur is B^3 image (B^3)^T: matrix
    products, which accelerators like, of a shape that does not depend on sigma.

    Args:
      image: float32 (H, W, C) in [0, 1].
      sigma: scalar >= 0, pixels; 0 changes nothing.

    Returns:
      float32 (H, W, C) in [0, 1].

    Reference:
      Gwosdek et al., SSVM 2011; Pillow's BoxBlur.c.
    """
    radius = formulas.box_radius(jnp.asarray(sigma, jnp.float32), jnp)

    def three_passes(length: int) -> Array:
        at = jnp.arange(length, dtype=jnp.float32)
        box = formulas.box_weights(radius, at[:, None], at[None], length - 1, jnp)
        return box @ box @ box

    # On a TPU the default product has 8 bits, as many as a pixel; "high" has 16.
    with jax.default_matmul_precision("high"):
        down, across = (three_passes(length) for length in image.shape[:2])
        out = jnp.einsum("ih,hwc->iwc", down, image)
        return clip(jnp.einsum("jw,iwc->ijc", across, out))


def horizontal_flip(image: Array) -> Array:
    """Mirrors left and right.

    Args:
      image: (H, W, C), any dtype.

    Returns:
      (H, W, C).
    """
    return image[:, ::-1]


def affine(
    image: Array, angle: ArrayLike, zoom: ArrayLike, shift_y: ArrayLike, shift_x: ArrayLike
) -> Array:
    """Rotates, scales and shifts about the centre; bilinear, black outside.

    Args:
      image: float32 (H, W, C) in [0, 1].
      angle: scalar, radians, counter-clockwise as seen.
      zoom: scalar > 0; above 1 enlarges.
      shift_y, shift_x: scalars, fractions of the height and width, down and right.

    Returns:
      float32 (H, W, C) in [0, 1].
    """
    height, width = image.shape[:2]
    y, x = jnp.meshgrid(jnp.arange(height), jnp.arange(width), indexing="ij")
    across, down = formulas.affine_rows((height, width), angle, zoom, shift_y, shift_x, jnp)
    at = [a * x + b * y + c for a, b, c in (down, across)]
    read = jax.vmap(lambda plane: jax.scipy.ndimage.map_coordinates(plane, at, order=1), -1, -1)
    return clip(read(image))


def noise(image: Array, normal: Array, std: ArrayLike) -> Array:
    """Adds Gaussian noise: image + std * normal, the same in all channels.

    Args:
      image: float32 (H, W, C) in [0, 1].
      normal: float32 (H, W), standard normal numbers.
      std: scalar >= 0.

    Returns:
      float32 (H, W, C) in [0, 1].
    """
    return clip(image + std * normal[..., None])
