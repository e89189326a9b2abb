"""Image operations in JAX, in the torchvision / Pillow sense: the twins of `jax_bt.data.ops`.

Images are float32 (H, W, 3) in [0, 1] and every operation clips to that range; all are pure,
shape-static and without control flow, so `jax.vmap` batches them for nothing.
"""

import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

_LUMA = (0.299, 0.587, 0.114)  # ITU-R 601


def _clip(image: Array) -> Array:
    return jnp.clip(image, 0.0, 1.0)


def _luma(image: Array) -> Array:
    """(H, W, 1) grey values."""
    red, green, blue = jnp.split(image, 3, axis=-1)
    return _LUMA[0] * red + _LUMA[1] * green + _LUMA[2] * blue


def _mean_luma(image: Array) -> Array:
    mean = jnp.mean(jnp.mean(image, axis=0), axis=0)  # two short sums: 1e-7 instead of 1e-5
    return _LUMA[0] * mean[0] + _LUMA[1] * mean[1] + _LUMA[2] * mean[2]


def brightness(image: Array, factor: ArrayLike) -> Array:
    """Multiplies: factor * image.

    Args:
      image: float32 (H, W, 3) in [0, 1].
      factor: scalar >= 0; 1 changes nothing.

    Returns:
      float32 (H, W, 3) in [0, 1].
    """
    return _clip(image * factor)


def brightness_additive(image: Array, delta: ArrayLike) -> Array:
    """Adds: image + delta (SimCLR v1).

    Args:
      image: float32 (H, W, 3) in [0, 1].
      delta: scalar in [-1, 1].

    Returns:
      float32 (H, W, 3) in [0, 1].
    """
    return _clip(image + delta)


def contrast(image: Array, factor: ArrayLike) -> Array:
    """Blends with the mean of the grey image: factor * image + (1 - factor) * mean(luma).

    Args:
      image: float32 (H, W, 3) in [0, 1].
      factor: scalar >= 0; 1 changes nothing, 0 leaves the mean grey.

    Returns:
      float32 (H, W, 3) in [0, 1].
    """
    return _clip(factor * image + (1.0 - factor) * _mean_luma(image))


def saturation(image: Array, factor: ArrayLike) -> Array:
    """Blends with the grey image: factor * image + (1 - factor) * luma.

    Args:
      image: float32 (H, W, 3) in [0, 1].
      factor: scalar >= 0; 1 changes nothing, 0 gives the grey image.

    Returns:
      float32 (H, W, 3) in [0, 1].
    """
    return _clip(factor * image + (1.0 - factor) * _luma(image))


def hue(image: Array, delta: ArrayLike) -> Array:
    """Turns the hue in HSV: h -> h + delta, s and v kept.

    With v the largest and c the range of the three values and h in sixths of the circle, the new
    channels are v - c * clip(2 - |h + 6 delta - m|, 0, 1), the distance taken around the circle
    from m = -3, -1, 1 (that is 3, 5, 1) for red, green, blue.

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

    return _clip(jnp.stack([channel(-3.0), channel(-1.0), channel(1.0)], axis=-1))


def grayscale(image: Array) -> Array:
    """ITU-R 601 luma, 0.299 R + 0.587 G + 0.114 B, in all three channels.

    Args:
      image: float32 (H, W, 3) in [0, 1].

    Returns:
      float32 (H, W, 3) in [0, 1].
    """
    return jnp.broadcast_to(_clip(_luma(image)), image.shape)


def solarize(image: Array, threshold: ArrayLike = 0.5) -> Array:
    """Inverts values at and above the threshold: v < threshold ? v : 1 - v.

    Args:
      image: float32 (H, W, 3) in [0, 1].
      threshold: scalar in [0, 1]; 0.5 parts the 8-bit values 127 and 128, as Pillow does.

    Returns:
      float32 (H, W, 3) in [0, 1].
    """
    return _clip(jnp.where(image < threshold, image, 1.0 - image))


def box_radius(sigma: ArrayLike) -> Array:
    """Radius of the box of which three passes have the variance sigma^2 (see `gaussian_blur`).

    With s = sigma^2 / 3 and l = floor((sqrt(12 s + 1) - 1) / 2), the radius is l + a,
    a = (2 l + 1) (l (l + 1) - 3 s) / (6 (s - (l + 1)^2)).

    Args:
      sigma: scalar >= 0, pixels.

    Returns:
      float32 scalar, pixels.

    Reference:
      Gwosdek et al., SSVM 2011.
    """
    s = jnp.square(jnp.asarray(sigma, jnp.float32)) / 3.0
    whole = jnp.floor((jnp.sqrt(12.0 * s + 1.0) - 1.0) / 2.0)
    part = (2 * whole + 1) * (whole * (whole + 1) - 3 * s) / (6 * (s - jnp.square(whole + 1)))
    return whole + part


def _box(radius: Array, length: int) -> Array:
    """(length, length) matrix of one pass of the box filter, the edge pixels repeated outwards."""
    i, j = jnp.arange(length)[:, None], jnp.arange(length)[None]
    inside = jnp.clip(radius + 1 - jnp.abs(i - j), 0.0, 1.0)
    before = jnp.where(j == 0, jnp.maximum(radius - i, 0.0), 0.0)
    after = jnp.where(j == length - 1, jnp.maximum(radius - (length - 1 - i), 0.0), 0.0)
    return (inside + before + after) / (2 * radius + 1)


def gaussian_blur(image: Array, sigma: ArrayLike) -> Array:
    """Pillow's GaussianBlur(radius=sigma): three passes of an extended box, edges repeated.

    The three passes along an axis are one banded matrix, so the blur is B^3 image (B^3)^T: matrix
    products, which accelerators like, of a shape that does not depend on sigma.

    Args:
      image: float32 (H, W, 3) in [0, 1].
      sigma: scalar >= 0, pixels; 0 changes nothing.

    Returns:
      float32 (H, W, 3) in [0, 1].

    Reference:
      Gwosdek et al., SSVM 2011; Pillow's BoxBlur.c.
    """
    radius = box_radius(sigma)
    # On a TPU the default product has 8 bits, as many as a pixel; "high" has 16.
    with jax.default_matmul_precision("high"):
        down, across = (_box(radius, length) for length in image.shape[:2])
        down, across = down @ down @ down, across @ across @ across
        out = jnp.einsum("ih,hwc->iwc", down, image)
        return _clip(jnp.einsum("jw,iwc->ijc", across, out))


def horizontal_flip(image: Array) -> Array:
    """Mirrors left and right.

    Args:
      image: (H, W, 3), any dtype.

    Returns:
      (H, W, 3).
    """
    return image[:, ::-1]


def affine(
    image: Array, angle: ArrayLike, zoom: ArrayLike, shift_y: ArrayLike, shift_x: ArrayLike
) -> Array:
    """Rotates, scales and shifts about the centre; bilinear, black outside.

    Args:
      image: float32 (H, W, 3) in [0, 1].
      angle: scalar, radians, counter-clockwise as seen.
      zoom: scalar > 0; above 1 enlarges.
      shift_y, shift_x: scalars, fractions of the height and width, down and right.

    Returns:
      float32 (H, W, 3) in [0, 1].
    """
    height, width = image.shape[:2]
    mid_y, mid_x = (height - 1) / 2, (width - 1) / 2
    y, x = jnp.meshgrid(jnp.arange(height), jnp.arange(width), indexing="ij")
    y, x = y - mid_y - shift_y * height, x - mid_x - shift_x * width
    cos, sin = jnp.cos(angle) / zoom, jnp.sin(angle) / zoom
    at = jnp.stack([mid_y + sin * x + cos * y, mid_x + cos * x - sin * y])
    read = jax.vmap(lambda plane: jax.scipy.ndimage.map_coordinates(plane, at, order=1), -1, -1)
    return _clip(read(image))


def noise(image: Array, normal: Array, std: ArrayLike) -> Array:
    """Adds Gaussian noise: image + std * normal, the same in the three channels.

    Args:
      image: float32 (H, W, 3) in [0, 1].
      normal: float32 (H, W), standard normal numbers.
      std: scalar >= 0.

    Returns:
      float32 (H, W, 3) in [0, 1].
    """
    return _clip(image + std * normal[..., None])
