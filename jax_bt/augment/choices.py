"""Turns uniform numbers into the random choices of a view, for host and device alike.

`parameters(recipe, uniform)` maps a vector of uniform numbers to the choices by arithmetic
and comparison alone, so the same lines serve TensorFlow, JAX and NumPy arrays. The
slot of each choice is fixed: leaving a part out of a recipe changes no other part's choices.

| slot | choice                                 | slot | choice                      |
|------|----------------------------------------|------|-----------------------------|
| 0    | flip?                                  | 9    | blur sigma                  |
| 1    | jitter?                                | 10   | solarize?                   |
| 2    | order of the jitter, 24 permutations   | 11   | affine?                     |
| 3-5  | brightness, contrast, saturation       | 12   | angle                       |
| 6    | hue                                    | 13   | zoom                        |
| 7    | grayscale?                             | 14-15| shift down, shift right     |
| 8    | blur?                                  | 16-17| noise?, its std             |
"""

import itertools
import math
from typing import Any

from jax_bt.augment.parts import (
    Affine,
    Blur,
    Flip,
    Grayscale,
    Jitter,
    Noise,
    Recipe,
    Solarize,
)

COUNT = 18
# Row k is the k-th order of brightness (0), contrast (1), saturation (2) and hue (3).
ORDERS = tuple(itertools.permutations(range(4)))


def _between(low: float, high: float, uniform: Any) -> Any:
    return low + (high - low) * uniform


def _factor(spread: float, uniform: Any) -> Any:
    return _between(max(0.0, 1.0 - spread), 1.0 + spread, uniform)


def parameters(recipe: Recipe, uniform: Any) -> dict[str, Any]:
    """The choices a recipe makes with these uniform numbers.

    Args:
      recipe: which parts there are, and their numbers.
      uniform: float32 in [0, 1), COUNT arrays (...) of NumPy, JAX or TensorFlow in one, or a list.

    Returns:
      For the parts the recipe has, arrays (...): "flip", "jitter", "grayscale", "blur",
      "solarize", "affine", "noise" (bool: apply it?); "order" (float in [0, 24): row of `ORDERS`),
      "brightness", "contrast", "saturation" (factors; brightness is a difference when additive),
      "hue" (fraction of the circle), "sigma" (pixels), "angle" (radians), "zoom", "shift_y",
      "shift_x" (fractions of the side), "std".
    """
    chosen: dict[str, Any] = {}
    u = uniform.__getitem__
    for part in recipe.parts:
        match part:
            case Flip(p):
                chosen["flip"] = u(0) < p
            case Jitter():
                chosen["jitter"] = u(1) < part.p
                chosen["order"] = u(2) * len(ORDERS)
                chosen["brightness"] = (
                    _between(-part.brightness, part.brightness, u(3))
                    if part.additive
                    else _factor(part.brightness, u(3))
                )
                chosen["contrast"] = _factor(part.contrast, u(4))
                chosen["saturation"] = _factor(part.saturation, u(5))
                chosen["hue"] = _between(-part.hue, part.hue, u(6))
            case Grayscale(p):
                chosen["grayscale"] = u(7) < p
            case Blur(p, sigma):
                chosen["blur"] = u(8) < p
                chosen["sigma"] = _between(*sigma, u(9))
            case Solarize(p):
                chosen["solarize"] = u(10) < p
            case Affine():
                chosen["affine"] = u(11) < part.p
                turn = math.radians(part.rotate)
                chosen["angle"] = _between(-turn, turn, u(12))
                chosen["zoom"] = _between(*part.zoom, u(13))
                chosen["shift_y"] = _between(-part.shift, part.shift, u(14))
                chosen["shift_x"] = _between(-part.shift, part.shift, u(15))
            case Noise(std, p):
                chosen["noise"] = u(16) < p
                chosen["std"] = _between(*std, u(17))
    return chosen
