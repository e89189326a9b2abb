"""Defines what a training step reads and writes, and all that a checkpoint holds."""

from typing import Any

import flax.struct
from jax import Array

PyTree = Any


@flax.struct.dataclass
class TrainState:
    """Everything that changes from step to step; replicated over the devices.

    Attributes:
      step: int32 scalar, the number of updates made.
      params: trained parameters by network, {"encoder": ..., "projector": ..., ...}.
      batch_stats: running BatchNorm statistics, the same keys.
      opt_state: the optimiser's state.
      target: what the method keeps beside the parameters: EMA copy, queue; () for most.
      key: the run's PRNG key. A step folds its number in, so nothing else has to be kept.
      online: the classifier beside the encoder with its optimiser's state; () for none.
      skipped: int32 scalar, the updates left out because they were not finite.
    """

    step: Array
    params: PyTree
    batch_stats: PyTree
    opt_state: PyTree
    target: PyTree
    key: Array
    online: PyTree = ()
    skipped: Array | int = 0

    @property
    def variables(self) -> dict[str, PyTree]:
        """Parameters and running statistics, as networks take them."""
        return {"params": self.params, "batch_stats": self.batch_stats}
