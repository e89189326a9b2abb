"""Saves and restores the training state through Orbax.

A checkpoint is a whole ``TrainState``; the input pipeline has no state, because batches are a
function of (seed, step). The first process alone writes and reads, and broadcasts what it has read:
the processes need no shared file system. Only a bank lies on them in parts, and is gathered for it.
A checkpoint is the same for any number of devices and processes. Orbax writes to a
temporary folder and renames it, so an unfinished checkpoint is never read. Saves run in the
background; the end of ``opened`` waits for them.
"""

import time
import warnings
import zlib
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import orbax.checkpoint as ocp
from etils import epath
from jax.sharding import Mesh

from jax_bt.devices.mesh import from_first_process, gathered
from jax_bt.errors import CheckpointError
from jax_bt.train.orbax_manager import SETTLE, Manager, reason, written
from jax_bt.train.orbax_manager import opened as opened

PyTree = Any


def save(manager: Manager | None, state: PyTree) -> None:
    """Saves ``state`` under its own step, in the background; every process calls this.

    Args:
      manager: from ``opened``.
      state: the training state; it may be donated as soon as this returns.

    Raises:
      CheckpointError: this or the previous save failed (a full disk). Earlier checkpoints stay.
    """
    state = gathered(state)
    if manager is None or int(state.step) in manager.all_steps():
        return
    # Copies: on a CPU device_get returns the device's own buffers, which the next step reuses.
    host = jax.tree.map(lambda x: np.array(x, copy=True), jax.device_get(_words(state)))
    item = {"state": host, "checksum": _checksum(host)}
    with written(manager):
        args = ocp.args.Composite(state=ocp.args.StandardSave(item))
        manager.save(int(state.step), args=args)


def restore(manager: Manager | None, like: PyTree, mesh: Mesh) -> PyTree | None:
    """Reads the newest good checkpoint; every process calls this.

    A damaged checkpoint is reported and moved aside, and the one before it is read.

    Args:
      manager: from ``opened``.
      like: a state of the right structure, shapes and dtypes; its values are not used.
      mesh: the mesh of all devices.

    Returns:
      The state, bit for bit as saved, each array sharded as in ``like`` or replicated; None if
      there is no checkpoint.

    Raises:
      CheckpointError: the checkpoint is of another model (the message names the first arrays that
        differ), or all checkpoints are damaged.
    """
    empty = jax.tree.map(lambda x: np.zeros(x.shape, x.dtype), jax.eval_shape(_words, like))
    host = None if manager is None else _newest(manager, empty)
    if not from_first_process(mesh, np.array(host is not None)):
        return None
    words = from_first_process(mesh, empty if host is None else host)

    def as_before(x: Any, w: jax.Array) -> jax.Array:
        if _is_key(x):
            return jax.random.wrap_key_data(w, impl=jax.random.key_impl(x))
        return w if x.sharding.is_fully_replicated else jax.device_put(w, x.sharding)

    return jax.tree.map(as_before, like, words)


def read(directory: epath.Path, like: PyTree, *, step: int | None = None) -> PyTree:
    """Reads one checkpoint, for use outside of its run; nothing is moved.

    Args:
      directory: of the checkpoints.
      like: a state of the right structure, shapes and dtypes, which may be abstract.
      step: of the checkpoint; None for the newest.

    Returns:
      The state as host arrays, PRNG keys as their words.

    Raises:
      CheckpointError: there is none of that step, it is damaged, or it is of another model.
    """
    have = steps(directory)
    if not have or step is not None and step not in have:
        found = f"it has those of steps {', '.join(map(str, have))}" if have else "it has none"
        wanted = "" if step is None else f" of step {step}"
        raise CheckpointError(f"{directory} has no checkpoint{wanted}: {found}")
    step = have[-1] if step is None else step
    empty = jax.tree.map(lambda x: np.zeros(x.shape, x.dtype), jax.eval_shape(_words, like))
    with opened(directory, keep=len(have)) as manager:
        try:
            return _checked(manager, empty, step)
        except CheckpointError:
            raise
        except Exception as error:  # noqa: BLE001 - damaged files raise anything
            raise CheckpointError(
                f"checkpoint {step} in {directory} is damaged ({reason(error)}): choose another"
            ) from error


def newest_step(manager: Manager | None) -> int | None:
    """The step of the newest checkpoint on disk, or None."""
    return None if manager is None else manager.latest_step()


def steps(directory: epath.Path) -> list[int]:
    """The steps of the finished checkpoints in a folder that need not exist, oldest first."""
    return sorted(ocp.utils.checkpoint_steps(directory)) if directory.exists() else []


def _newest(manager: Manager, empty: PyTree) -> PyTree | None:
    """The host arrays of the newest checkpoint that can be read."""
    saved = sorted(manager.all_steps(), reverse=True)
    for step in saved:
        try:
            return _checked(manager, empty, step)
        except CheckpointError:
            raise
        except Exception as error:  # noqa: BLE001 - damaged files raise anything
            _set_aside(manager, step, error)
    if saved:
        raise CheckpointError(
            f"every checkpoint in {manager.directory} is damaged (moved to damaged_*): "
            "restore one from a copy, or start afresh in another --workdir"
        )
    return None


def _checked(manager: Manager, empty: PyTree, step: int) -> PyTree:
    """The host arrays of one checkpoint; ValueError if their checksum is wrong."""
    item = {"state": empty, "checksum": np.zeros((), np.uint32)}
    _check_same(item, manager.item_metadata(step)["state"].tree, step)
    args = ocp.args.Composite(state=ocp.args.StandardRestore(item))
    found = manager.restore(step, args=args)["state"]
    if found["checksum"] != _checksum(found["state"]):
        raise ValueError("its checksum is wrong")
    return found["state"]


def _set_aside(manager: Manager, step: int, error: Exception) -> None:
    path = epath.Path(manager.directory) / str(step)
    aside = path.parent / f"damaged_{step}"
    warnings.warn(
        f"checkpoint {step} in {manager.directory} is damaged and was moved to {aside.name}; "
        f"using the one before it ({reason(error)})",
        stacklevel=4,
    )
    time.sleep(SETTLE)  # Orbax may still be reading its other arrays
    aside.rmtree(missing_ok=True)
    path.rename(aside)
    manager.reload()


def _check_same(wanted: PyTree, stored: PyTree, step: int) -> None:
    """Raises CheckpointError if arrays differ in presence, shape or dtype."""
    want, have = _shapes(wanted), _shapes(stored)
    differing = [
        f"{name} ({have.get(name, 'absent')} stored, {want.get(name, 'absent')} wanted)"
        for name in sorted(want.keys() | have.keys())
        if want.get(name) != have.get(name)
    ]
    if differing:
        more = f" and {len(differing) - 4} more" if len(differing) > 4 else ""
        raise CheckpointError(
            f"checkpoint {step} is of another model: {', '.join(differing[:4])}{more}. "
            "Use the config it was trained with, or another --workdir"
        )


def _shapes(tree: PyTree) -> dict[str, str]:
    """Names of the arrays with their dtype and shape."""
    return {
        jax.tree_util.keystr(path[1:], simple=True, separator="/"): (
            f"{np.dtype(leaf.dtype)}{list(leaf.shape)}"
        )
        for path, leaf in jax.tree_util.tree_flatten_with_path(tree)[0]
    }


def _is_key(x: Any) -> bool:
    return jnp.issubdtype(x.dtype, jax.dtypes.prng_key)


def _words(state: PyTree) -> PyTree:
    """The state with typed PRNG keys as arrays of words."""
    return jax.tree.map(lambda x: jax.random.key_data(x) if _is_key(x) else x, state)


def _checksum(tree: PyTree) -> np.ndarray:
    """CRC-32 of all bytes; Orbax notices a missing file, but not every changed byte."""
    value = 0
    for leaf in jax.tree.leaves(tree):
        value = zlib.crc32(np.ascontiguousarray(leaf).reshape(-1).view(np.uint8).data, value)
    return np.array(value, np.uint32)
