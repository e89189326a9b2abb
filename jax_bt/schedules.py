"""Values as functions of the step, counted from 0."""

from collections.abc import Callable, Sequence
from typing import Any

import jax.numpy as jnp
from jax import Array

Schedule = Callable[[Any], Array]


def _fraction(step: Any, steps: int) -> Array:
    """step / steps, clipped to [0, 1]; 0 where there are no steps."""
    return jnp.clip(step, 0, steps).astype(jnp.result_type(float)) / max(steps, 1)


def _half_cosine(step: Any, start: int, end: int) -> Array:
    """(1 + cos(pi f)) / 2 with f = (step - start) / (end - start): from 1 to 0, held outside.

    Computed as sin(pi/2 (1 - f))^2, which keeps its digits near the end, where 1 + cos cancels:
    float32 would be wrong there by 1e-5 of a final rate of a thousandth.
    """
    return jnp.square(jnp.sin(0.5 * jnp.pi * _fraction(end - jnp.asarray(step), end - start)))


def warmup_cosine(
    peak: float,
    warmup_steps: int,
    total_steps: int,
    end_value: float = 0.0,
    start_value: float = 0.0,
) -> Schedule:
    """Linear warm-up from exactly 0, then a half cosine from ``peak`` to ``end_value``.

    ::

        step < w:  start_value + (peak - start_value) * step / w
        else:      q * peak + (1 - q) * end_value,  q = (1 + cos(pi (step - w) / (total - w))) / 2

    Args:
      peak: value at step ``warmup_steps``.
      warmup_steps: w, may be 0.
      total_steps: step at which ``end_value`` is reached, warm-up included; it stays there.
      end_value: peak / 1000 in the Barlow Twins and VICReg code.
      start_value: of the warm-up; SwAV starts it at a sixteenth of the peak.

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
        warmup = start_value + (peak - start_value) * _fraction(step, warmup_steps)
        q = _half_cosine(step, warmup_steps, total_steps)
        return jnp.where(jnp.asarray(step) < warmup_steps, warmup, q * peak + (1 - q) * end_value)

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
        return 1 - (1 - base) * _half_cosine(step, 0, total_steps)

    return schedule


def warmup_drops(peak: float, warmup_steps: int, drops: Sequence[int], factor: float) -> Schedule:
    """Linear warm-up from 0, then ``peak``, multiplied by ``factor`` at each step of ``drops``.

    Args:
      peak: value from step ``warmup_steps`` to the first drop.
      warmup_steps: w, may be 0.
      drops: steps, W-MSE's being those 50 and 25 epochs before the end.
      factor: of each drop, 0.2 in W-MSE's code.

    Returns:
      A function of the step.
    """

    def schedule(step: Any) -> Array:
        step = jnp.asarray(step)
        passed = sum((step >= drop).astype(jnp.result_type(float)) for drop in drops)
        warmup = jnp.where(step < warmup_steps, _fraction(step, warmup_steps), 1)
        return peak * warmup * factor**passed

    return schedule


def every(steps: int, schedule: Schedule) -> Schedule:
    """The schedule's value at the last multiple of ``steps``: once an epoch, in MoCo's code."""
    return lambda step: schedule(jnp.asarray(step) // steps * steps)
