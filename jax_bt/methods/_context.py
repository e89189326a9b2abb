"""Tells a method what surrounds its call: mesh axis, step, random key, examples."""

import dataclasses
from typing import Any

from jax import Array


@dataclasses.dataclass(frozen=True)
class Context:
    """What surrounds one call of a method.

    Attributes:
      axis_name: mapped axis over which the batch is sharded; None outside of ``shard_map``.
      step: int32 scalar, the number of updates made before this step.
      total_steps: number of updates of the whole run.
      key: PRNG key of this call, the same on every device.
      index: (local batch,) uint32 indices of the examples in the data set; None where unknown.
      rows: in a loss, what the bank holds of the batch's examples, (local batch, ...) each; () for
        methods without a bank.
      places: in a loss, where each view lies in its image, float32 (local batch, 2, 3) each, as
        ``jax_bt.augment.places`` defines it; () for methods that do not ask for it.
    """

    axis_name: str | None
    step: Array | int
    total_steps: int
    key: Array
    index: Array | None = None
    rows: Any = ()
    places: tuple[Array, ...] = ()
