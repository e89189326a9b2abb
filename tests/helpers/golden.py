"""Comparison with the references' numbers: float64 at 1e-9, float32 at a stated tolerance."""

import pathlib
from collections.abc import Callable
from typing import Any

import jax
import numpy as np

GOLDEN = pathlib.Path(__file__).parents[1] / "golden"


def arrays(path: pathlib.Path) -> dict[str, np.ndarray]:
    """What a .npz file holds. Left open, as np.load leaves it, it would warn in a later test."""
    with np.load(path) as file:
        return dict(file)


def check(
    function: Callable,
    inputs: tuple,
    loss: float,
    gradients: tuple,
    float32: tuple[float, float] | None,
) -> Any:
    """Checks value and gradients of a loss function.

    Args:
      function: arrays to a loss's record.
      inputs: float32 arrays; the reference widened the same numbers to float64.
      loss: the reference's value.
      gradients: with respect to each input; None where there must be none (zeros). Fewer rows or
        columns than the input has: the golden copy of a large file holds only the first.
      float32: tolerances of our float32 value (relative) and gradients (relative to the greatest
        entry); None to check float64 alone.

    Returns:
      The record in float64.
    """

    def value(*args):
        out = function(*args)
        return out.loss, out

    step = jax.jit(jax.value_and_grad(value, argnums=tuple(range(len(inputs))), has_aux=True))
    with jax.enable_x64(True):
        wide = jax.tree.map(np.asarray, step(*(np.float64(x) for x in inputs)))
    _compare(wide, loss, gradients, (1e-9, 1e-9))
    if float32:
        _compare(step(*inputs), loss, gradients, float32)
    return wide[0][1]


def _compare(computed, loss, gradients, tolerances):
    (value, _), grads = computed
    np.testing.assert_allclose(value, loss, rtol=tolerances[0])
    for grad, expected in zip(grads, gradients, strict=True):
        if expected is None:
            assert not np.any(grad)
            continue
        kept = grad[tuple(slice(n) for n in expected.shape)]
        scale = np.max(np.abs(expected))
        np.testing.assert_allclose(kept, expected, rtol=0, atol=tolerances[1] * scale)
