"""Defines what a training step reads and writes, and all that a checkpoint holds."""

import dataclasses
from typing import Any

import flax.struct
from jax import Array
from jax.sharding import Mesh

from jax_bt.devices.mesh import by_row, replicated

PyTree = Any


@flax.struct.dataclass
class TrainState:
    """Everything that changes from step to step; replicated over the devices, but for the bank.

    Attributes:
      step: int32 scalar, the number of updates made.
      params: trained parameters by network, {"encoder": ..., "projector": ..., ...}.
      batch_stats: running BatchNorm statistics, the same keys.
      opt_state: the optimiser's state.
      target: what the method keeps beside the parameters: EMA copy, queue; () for most.
      key: the run's PRNG key. A step folds its number in, so nothing else has to be kept.
      online: the classifier beside the encoder with its optimiser's state; () for none.
      skipped: int32 scalar, the updates left out because they were not finite.
      bank: what the method keeps of every example of the data set, arrays whose rows are the
        examples; () for most. Each device holds an equal part of the rows.
    """

    step: Array
    params: PyTree
    batch_stats: PyTree
    opt_state: PyTree
    target: PyTree
    key: Array
    online: PyTree = ()
    skipped: Array | int = 0
    bank: PyTree = ()

    @property
    def variables(self) -> dict[str, PyTree]:
        """Parameters and running statistics, as networks take them."""
        return {"params": self.params, "batch_stats": self.batch_stats}


def shardings(mesh: Mesh) -> TrainState:
    """How each field of a state lies on the mesh."""
    fields = {field.name: replicated(mesh) for field in dataclasses.fields(TrainState)}
    return TrainState(**{**fields, "bank": by_row(mesh)})
