"""Makes the mesh of devices and lays arrays on it; the only file that names the mesh axis."""

import os
from typing import Any

import jax
import numpy as np
from jax.experimental import multihost_utils
from jax.sharding import AxisType, Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from jax_bt.errors import UsageError

PyTree = Any

AXIS = "data"
REPLICATED = P()
SHARDED = P(AXIS)  # along the first dimension: examples
ROWS = 1024  # tables of the data set's examples have a multiple of so many rows

# What to install for the names that JAX_PLATFORMS takes.
CUDA, TPU = "'jax_bt[cuda12]'", "'jax_bt[tpu]'"
EXTRAS = {"cuda": CUDA, "gpu": CUDA, "tpu": TPU}


def find_devices() -> list[jax.Device]:
    """The devices of all processes.

    Raises:
      UsageError: JAX_PLATFORMS names devices that JAX cannot use here.
    """
    try:
        return jax.devices()
    except (RuntimeError, AssertionError) as error:  # AssertionError: cuda without its plugin
        asked = os.environ.get("JAX_PLATFORMS") or getattr(jax.config, "jax_platforms", None) or ""
        extras = [EXTRAS[name] for name in asked.lower().split(",") if name in EXTRAS]
        reason = str(error).partition("\n")[0].partition(" (set JAX_PLATFORMS")[0]
        install = f"Install it (pip install {' or '.join(extras)}), or u" if extras else "U"
        raise UsageError(
            f"JAX cannot use the devices of JAX_PLATFORMS={asked!r}: "
            f"{reason or 'their plugin is not installed'}. "
            f"{install}nset JAX_PLATFORMS to run on the devices that JAX finds"
        ) from error


def make_mesh(devices: list[jax.Device] | None = None) -> Mesh:
    """A one-dimensional mesh over ``devices``; None: all devices of all processes.

    Raises:
      UsageError: as ``find_devices``.
    """
    devices = find_devices() if devices is None else devices
    # By process, so that the slices that processes load are in the order of the global batch.
    devices = sorted(devices, key=lambda device: (device.process_index, device.id))
    # Auto axes: under Explicit ones z.T @ z of a sharded batch is refused as ambiguous.
    return Mesh(np.array(devices), (AXIS,), axis_types=(AxisType.Auto,))


def replicated(mesh: Mesh) -> NamedSharding:
    """Sharding of parameters, optimiser state, statistics: every device holds the whole array."""
    return NamedSharding(mesh, REPLICATED)


def sharded(mesh: Mesh) -> NamedSharding:
    """Sharding of a batch: every device holds an equal part of the examples."""
    return NamedSharding(mesh, SHARDED)


def by_row(mesh: Mesh) -> NamedSharding:
    """Sharding of a table whose rows are the data set's examples: equal parts of the rows.

    Tables have the same number of rows on any number of devices, for checkpoints. Where that does
    not divide over the devices, every device holds the whole table.
    """
    return replicated(mesh) if ROWS % mesh.size else sharded(mesh)


def gathered(tree: PyTree) -> PyTree:
    """Replaces arrays that lie on several processes in parts by whole ones; all processes call it.

    Args:
      tree: pytree of ``jax.Array``; those which every process sees whole stay as they are.
    """

    def whole(x: jax.Array) -> Any:
        if x.is_fully_addressable or x.is_fully_replicated:
            return x
        return multihost_utils.process_allgather(x, tiled=True)

    return jax.tree.map(whole, tree)


def to_global(mesh: Mesh, batch: PyTree) -> PyTree:
    """Makes global arrays from the part of the batch that each process has loaded.

    Args:
      mesh: the mesh of the devices of all processes.
      batch: pytree of host arrays (global batch / processes, ...).

    Returns:
      The same pytree of ``jax.Array`` (global batch, ...), sharded along the first dimension.
    """
    return jax.tree.map(lambda x: jax.make_array_from_process_local_data(sharded(mesh), x), batch)


def from_first_process(mesh: Mesh, tree: PyTree) -> PyTree:
    """Copies the arrays of the first process to every device, bit for bit.

    Args:
      mesh: the mesh of the devices of all processes.
      tree: pytree of host arrays; on other processes only their shapes and dtypes count.

    Returns:
      The same pytree of ``jax.Array``.
    """
    # The broadcast is a sum with zeros: of bytes, because a sum of floats loses the sign of -0.0.
    flat = jax.tree.map(lambda x: np.frombuffer(np.asarray(x).tobytes(), np.uint8), tree)
    flat = multihost_utils.broadcast_one_to_all(flat)
    whole = jax.tree.map(
        lambda x, f: np.asarray(f).view(np.asarray(x).dtype).reshape(np.shape(x)), tree, flat
    )
    return jax.device_put(whole, replicated(mesh))


def check_divides(
    batch_size: int, mesh: Mesh, micro_batches: int = 1, small_batches: int = 1
) -> None:
    """Checks that every device gets the same number of examples of every part of a batch.

    Args:
      batch_size: over all devices.
      mesh: the devices.
      micro_batches: number of equal parts of each small batch.
      small_batches: number of equal small batches.

    Raises:
      UsageError: it does not; the message names values that fit.
    """
    devices = mesh.size
    if batch_size % devices:
        fewer = max(n for n in range(1, devices + 1) if batch_size % n == 0)
        near = max(batch_size // devices, 1) * devices
        raise UsageError(
            f"batch_size={batch_size} does not divide over {devices} devices: set it to a multiple "
            f"of {devices}, such as {near}, or use {fewer} device{'s' * (fewer > 1)}"
        )
    each = batch_size // devices
    for name, parts in (("small_batches", small_batches), ("micro_batches", micro_batches)):
        if each % parts:
            fitting = ", ".join(str(n) for n in range(1, each + 1) if each % n == 0)
            raise UsageError(
                f"{name}={parts} does not divide the {each} examples per device: "
                f"use one of {fitting}"
            )
        each //= parts
