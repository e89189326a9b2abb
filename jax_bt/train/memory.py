"""Refuses a state that no device of the mesh can hold, before anything is allocated."""

import math
import os
from typing import Any

import jax
from jax.sharding import Mesh

from jax_bt.errors import UsageError

PyTree = Any


def check_fits(state: PyTree, mesh: Mesh) -> None:
    """Raises UsageError if the state alone is larger than the memory of a device.

    Args:
      state: a training state as shapes, dtypes and shardings.
      mesh: the mesh of all devices; those that are not there (of a plan) are not asked.
    """
    needed = size(state)
    have = _memory(mesh)
    if have and needed > have:
        raise UsageError(
            f"the training state takes {needed / 2**30:,.0f} GiB and a device has "
            f"{have / 2**30:,.0f} GiB: use smaller heads (--config.heads.*) or a smaller encoder"
        )


def size(tree: PyTree) -> int:
    """Bytes that arrays take on one device, from their shapes, dtypes and shardings."""
    return sum(
        math.prod(leaf.sharding.shard_shape(leaf.shape)) * leaf.dtype.itemsize
        for leaf in jax.tree.leaves(tree)
    )


def _memory(mesh: Mesh) -> int | None:
    """Bytes that each device of this process may use; None where nobody tells."""
    device = mesh.devices.flat[0]
    if device.platform == "cpu":
        pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
        return pages // len(mesh.local_devices) if hasattr(os, "sysconf") else None
    try:
        return (device.memory_stats() or {}).get("bytes_limit")
    except jax.errors.JaxRuntimeError:  # a device described by libtpu
        return None
