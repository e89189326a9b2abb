"""Values as functions of the step, counted from 0."""

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
from jax import Array

Schedule = Callable[[Any], Array]


def _fraction(step: Any, start: int, end: int) -> Array:
    """Share of the way from ``start`` to ``end``, clipped to [0, 1]."""
    step = jnp.clip(jnp.asarray(step), start, end)
    return (step - start) / max(end - start, 1)


def warmup_cosine(
    peak: float, warmup_steps: int, total_steps: int, end_value: float = 0.0
) -> Schedule:
    """Linear warm-up from exactly 0, then a half cosine from ``peak`` to ``end_value``.

    ::

        step < w:  peak * step / w
        else:      q * peak + (1 - q) * end_value,  q = (1 + cos(pi (step - w) / (total - w))) / 2

    Args:
      peak: value at step ``warmup_steps``.
      warmup_steps: w, may be 0.
      total_steps: step at which ``end_value`` is reached, warm-up included; it stays there.
      end_value: peak / 1000 in the Barlow Twins and VICReg code.

    Returns:
      A function of the step (an integer, or an array of them).

    Raises:
      ValueError: unless 0 <= warmup_steps <= total_steps.
    """
    if not 0 <= warmup_steps <= total_steps:
        raise ValueError(
            f"warmup_steps={warmup_steps} must lie between 0 and total_steps={total_steps}"
        )

    def schedule(step: Any) -> Array:
        warmup = peak * _fraction(step, 0, warmup_steps)
        q = 0.5 * (1 + jnp.cos(jnp.pi * _fraction(step, warmup_steps, total_steps)))
        return jnp.where(step < warmup_steps, warmup, q * peak + (1 - q) * end_value)

    return schedule


def cosine_ema(base: float, total_steps: int) -> Schedule:
    """BYOL's target decay: tau = 1 - (1 - base) * (1 + cos(pi step / total)) / 2.

    Args:
      base: tau at step 0.
      total_steps: step at which tau reaches 1; it stays there.

    Returns:
      A function of the step.

    Raises:
      ValueError: if ``total_steps`` is below 1.

    Reference: Grill et al. 2020, https://arxiv.org/abs/2006.07733
    """
    if total_steps < 1:
        raise ValueError(f"total_steps={total_steps} must be at least 1")

    def schedule(step: Any) -> Array:
        return 1 - (1 - base) * 0.5 * (1 + jnp.cos(jnp.pi * _fraction(step, 0, total_steps)))

    return schedule
