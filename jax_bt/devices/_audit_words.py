"""Says in words how values and gradients of W devices relate to those of the whole batch."""

import functools

import numpy as np

RIGHT = "right"
OWN = "each device's own, their {} is right"
POWERS = {0: RIGHT, -1: "1/W", 1: "W times", -2: "1/W^2", 2: "W^2 times"}


def of_values(values: np.ndarray, expected: np.ndarray, devices: int, tolerance: float) -> str:
    """What the devices' values are, in units of the whole batch's."""
    values, right = np.asarray(values, np.float64), float(expected)
    if not np.isfinite(values).all():
        return "not finite"
    near = functools.partial(np.allclose, rtol=tolerance, atol=tolerance * abs(right) + 1e-12)
    if near(values, values[0]):
        return _factor(values[0] / right if right else 1 + values[0], devices, tolerance)
    for word, total in (("mean", values.mean()), ("sum", values.sum())):
        if near(total, right):
            return OWN.format(word)
    off = abs(values.mean() - right) / (abs(right) or 1)
    return f"each device's own, their mean is off by {off:.0%}"


def of_gradient(found: np.ndarray, expected: np.ndarray, devices: int, tolerance: float) -> str:
    """What a gradient is, in units of the whole batch's."""
    g, right = (np.asarray(x, np.float64).ravel() for x in (found, expected))
    size, length = np.linalg.norm(right), np.linalg.norm(g)
    if not np.isfinite(length):
        return "not finite"
    if length <= tolerance * size:
        return RIGHT if size == 0 else "zero"
    if size == 0:
        return "not zero, as on one device"
    factor = float(g @ right / size**2)
    if np.linalg.norm(g - factor * right) > 10 * tolerance * length:
        cosine = g @ right / (length * size)
        return f"another direction (cosine {cosine:.3f}, length x {length / size:.2f})"
    return _factor(factor, devices, tolerance)


def _factor(factor: float, devices: int, tolerance: float) -> str:
    """A factor as a power of the number of devices W, where it is one."""
    for power, words in POWERS.items():
        if abs(factor / float(devices) ** power - 1) <= 5 * tolerance:
            return words
    return f"{factor:.3g} times"
