"""Constants and formulas shared by the operations of the host and of the device.

Functions take the array library as ``xp``: ``tensorflow`` or ``jax.numpy``. They use only names
that both have.
"""

from types import ModuleType
from typing import Any

LUMA = (0.299, 0.587, 0.114)  # ITU-R 601
# With v the largest and c the range of the three values, and h the hue in sixths of the circle,
# red, green and blue are v - c * clip(2 - |h - m|, 0, 1) with m = 3, 5, 1, the distance taken
# around the circle; here 3 and 5 are written as the nearer -3 and -1.
HUE_MIDDLES = (-3.0, -1.0, 1.0)


def box_radius(sigma: Any, xp: ModuleType) -> Any:
    """Radius of the box of which three passes have the variance sigma^2.

    With s = sigma^2 / 3 and l = floor((sqrt(12 s + 1) - 1) / 2), the radius is l + a,
    a = (2 l + 1) (l (l + 1) - 3 s) / (6 (s - (l + 1)^2)).

    Args:
      sigma: float32 scalar >= 0, pixels.
      xp: the array library.

    Returns:
      float32 scalar, pixels.

    Reference:
      Gwosdek et al., SSVM 2011; Pillow's BoxBlur.c.
    """
    s = xp.square(sigma) / 3.0
    whole = xp.floor((xp.sqrt(12.0 * s + 1.0) - 1.0) / 2.0)
    part = (2 * whole + 1) * (whole * (whole + 1) - 3 * s) / (6 * (s - xp.square(whole + 1)))
    return whole + part


def box_weights(radius: Any, i: Any, j: Any, last: Any, xp: ModuleType) -> Any:
    """Weights of one pass of the box filter: of input pixel j in output pixel i.

    Weight 1 for |d| <= l, a for |d| = l + 1: clip(radius + 1 - |d|, 0, 1), over 2 radius + 1. What
    would be read beyond an edge is added to the weight of the edge pixel, which is so repeated.

    Args:
      radius: float32 scalar, from `box_radius`.
      i, j: float32 arrays of whole numbers that broadcast.
      last: index of the last pixel.
      xp: the array library.

    Returns:
      float32, the broadcast shape.
    """
    inside = xp.minimum(xp.maximum(radius + 1.0 - xp.abs(i - j), 0.0), 1.0)
    # max(1 - j, 0) is 1 in the first column and 0 elsewhere, without a slow `where`.
    before = xp.maximum(radius - i, 0.0) * xp.maximum(1.0 - j, 0.0)
    after = xp.maximum(radius - last + i, 0.0) * xp.maximum(1.0 - last + j, 0.0)
    return (inside + before + after) / (2.0 * radius + 1.0)


def affine_rows(
    shape: tuple[Any, Any], angle: Any, zoom: Any, shift_y: Any, shift_x: Any, xp: ModuleType
) -> tuple[tuple, tuple]:
    """Where each pixel of a turned, enlarged and shifted image is read.

    Pixel (x, y) of the result is read at a x + b y + c, for x and for y: the opposite rotation
    about the centre.

    Args:
      shape: height and width, float32 scalars.
      angle: radians, counter-clockwise as seen.
      zoom: > 0, above 1 enlarges.
      shift_y, shift_x: fractions of height and width, down and right.
      xp: the array library.

    Returns:
      (a, b, c) of the x and (a, b, c) of the y that is read.
    """
    height, width = shape
    mid_y, mid_x = (height - 1) / 2, (width - 1) / 2
    cos, sin = xp.cos(angle) / zoom, xp.sin(angle) / zoom
    to_y, to_x = mid_y + shift_y * height, mid_x + shift_x * width
    across = (cos, -sin, mid_x - cos * to_x + sin * to_y)
    down = (sin, cos, mid_y - sin * to_x - cos * to_y)
    return across, down
