"""Where a view lies in its image: an affine map from the view's square to pixels of the image.

The map takes (v, u), v down and u to the right in [0, 1] of the view, to (y, x) in pixels of the
image as it was decoded, whose first pixel is the square from 0 to 1:

    y = a v + b u + c,    x = d v + e u + f

As an array it is (..., 2, 3), ((a, b, c), (d, e, f)). A crop alone is ((height, 0, top), (0, width,
left)), and its flip ((height, 0, top), (0, -width, left + width)).
"""

from collections.abc import Sequence
from types import ModuleType
from typing import Any

import jax.numpy as jnp
from jax import Array

from jax_bt.augment.formulas import affine_rows
from jax_bt.augment.parts import Affine, Flip, Part

Row = tuple[Any, Any, Any]
Rows = tuple[Row, Row]
PIXELS: Rows = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0))  # of the image itself


def within(rows: Rows, down: Row, across: Row) -> Rows:
    """The map of a view that shows, at its (v, u), what ``rows`` has at (down, across).

    Args:
      rows: of another view.
      down: the vertical place in it, down[0] v + down[1] u + down[2].
      across: the horizontal one.
    """

    def row(v: Any, u: Any, one: Any) -> Row:
        first, second, last = (v * d + u * a for d, a in zip(down, across, strict=True))
        return first, second, last + one

    return row(*rows[0]), row(*rows[1])


def behind(
    rows: Rows,
    parts: Sequence[Part],
    chosen: dict[str, Any],
    shape: tuple[Any, Any],
    pixel: float,
    xp: ModuleType,
) -> Rows:
    """The map behind these parts of a recipe, none of them a crop.

    Args:
      rows: of the image that the parts are given, arrays of the choices' shape.
      parts: those that only change colours change nothing here.
      chosen: from `jax_bt.augment.choices.parameters`.
      shape: height and width of that image, pixels, float32.
      pixel: side of its pixels in the coordinates of ``rows``: 1, or 1 / size in a view's square.
      xp: the array library, ``tensorflow`` or ``jax.numpy``.
    """
    for part in parts:
        match part:
            case Flip():
                taken, down, across = chosen["flip"], PIXELS[0], (0.0, -1.0, shape[1] * pixel)
            case Affine():
                taken = chosen["affine"]
                angle, zoom = chosen["angle"], chosen["zoom"]
                shifts = chosen["shift_y"], chosen["shift_x"]
                # Theirs are numbers of pixels, x first; pixel 0 has its centre at 1/2.
                across, down = (
                    (b, a, (c + (1 - a - b) / 2) * pixel)
                    for a, b, c in affine_rows(shape, angle, zoom, *shifts, xp)
                )
            case _:
                continue
        (a, b, c), (d, e, f) = within(rows, down, across)
        old = (*rows[0], *rows[1])
        new = [xp.where(taken, n, o) for n, o in zip((a, b, c, d, e, f), old, strict=True)]
        rows = ((new[0], new[1], new[2]), (new[3], new[4], new[5]))
    return rows


def cells(place: Array, height: int, width: int, *, flipped: bool = True) -> Array:
    """Centres of the cells of a feature map in pixels of the image.

    Args:
      place: float32 (N, 2, 3) of the views.
      height: of the map.
      width: of the map.
      flipped: False takes a mirrored view for what it was before the flip: its centres are then
        not those of what the cells show.

    Returns:
      float32 (N, height, width, 2): y and x.
    """
    v = (jnp.arange(height, dtype=jnp.float32)[:, None, None] + 0.5) / height
    u = (jnp.arange(width, dtype=jnp.float32)[:, None] + 0.5) / width
    rows = place[:, None, None]
    if not flipped:
        mirrored = rows[..., 0, 0] * rows[..., 1, 1] < rows[..., 0, 1] * rows[..., 1, 0]
        u = jnp.where(mirrored[..., None], 1 - u, u)
    return rows[..., 0] * v + rows[..., 1] * u + rows[..., 2]
