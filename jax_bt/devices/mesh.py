"""Devices and how arrays lie on them: the only file that names the axis of the mesh."""

from typing import Any

import jax
import numpy as np
from jax.experimental import multihost_utils
from jax.sharding import AxisType, Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

PyTree = Any

AXIS = "data"
REPLICATED = P()
SHARDED = P(AXIS)  # along the first dimension: examples


def make_mesh(devices: list[jax.Device] | None = None) -> Mesh:
    """A one-dimensional mesh over ``devices``, by default all of every process."""
    devices = jax.devices() if devices is None else devices
    # By process, so that the slices the processes load follow one another in the global batch.
    devices = sorted(devices, key=lambda device: (device.process_index, device.id))
    # Auto axes: under Explicit ones z.T @ z of a sharded batch is refused as ambiguous.
    return Mesh(np.array(devices), (AXIS,), axis_types=(AxisType.Auto,))


def replicated(mesh: Mesh) -> NamedSharding:
    """Every device holds the whole array: parameters, optimiser state, statistics."""
    return NamedSharding(mesh, REPLICATED)


def sharded(mesh: Mesh) -> NamedSharding:
    """Every device holds an equal share of the examples."""
    return NamedSharding(mesh, SHARDED)


def to_global(mesh: Mesh, batch: PyTree) -> PyTree:
    """Makes global arrays of what each process loaded of the batch.

    Args:
      mesh: the mesh of all processes' devices.
      batch: pytree of host arrays (global batch / processes, ...).

    Returns:
      The same pytree of ``jax.Array`` (global batch, ...), sharded along the first dimension.
    """
    return jax.tree.map(lambda x: jax.make_array_from_process_local_data(sharded(mesh), x), batch)


def from_first_process(mesh: Mesh, tree: PyTree) -> PyTree:
    """Replicates the first process's arrays over the mesh, bit for bit.

    Args:
      mesh: the mesh of all processes' devices.
      tree: pytree of host arrays; the values of all but the first process are not looked at.

    Returns:
      The same pytree of ``jax.Array``.
    """
    # Sums of bytes of which all but one are zero: adding floats would lose the sign of -0.0.
    flat = jax.tree.map(lambda x: np.frombuffer(np.asarray(x).tobytes(), np.uint8), tree)
    flat = multihost_utils.broadcast_one_to_all(flat)
    whole = jax.tree.map(
        lambda x, f: np.asarray(f).view(np.asarray(x).dtype).reshape(np.shape(x)), tree, flat
    )
    return jax.device_put(whole, replicated(mesh))


def check_divides(global_batch: int, mesh: Mesh, micro_batches: int = 1) -> None:
    """Raises ValueError unless every device gets the same number of examples, in equal parts."""
    if global_batch % mesh.size:
        fitting = [n for n in range(1, mesh.size + 1) if global_batch % n == 0]
        raise ValueError(
            f"batch_size {global_batch} does not divide over {mesh.size} devices: "
            f"use a multiple of {mesh.size}, or {fitting[-1]} devices"
        )
    each = global_batch // mesh.size
    if micro_batches < 1 or each % micro_batches:
        fitting = ", ".join(str(n) for n in range(1, each + 1) if each % n == 0)
        raise ValueError(
            f"micro_batches={micro_batches} does not divide the {each} examples of a device: "
            f"use one of {fitting}"
        )
