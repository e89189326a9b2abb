"""Saves and restores the training state through Orbax.

A checkpoint is a whole ``TrainState``; the input pipeline has no state, because batches are a
function of (seed, step). The first process alone writes and reads, and broadcasts what it has read:
the processes need no shared file system. Only a bank lies on them in parts, and is gathered for it.
A checkpoint is the same for any number of devices and processes. Orbax writes to a
temporary folder and renames it, so an unfinished checkpoint is never read. Saves run in the
background; the end of ``opened`` waits for them.
"""

import logging
import os
import re
import sys
import time
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import orbax.checkpoint as ocp
from etils import epath
from jax.sharding import Mesh

from jax_bt.devices import processes
from jax_bt.devices.mesh import from_first_process, gathered
from jax_bt.errors import CheckpointError

PyTree = Any
Manager = ocp.CheckpointManager
# The first process reads and writes alone; by default Orbax waits for all processes at every call.
ALONE = ocp.options.MultiprocessingOptions(
    primary_host=0, active_processes={0}, barrier_sync_key_prefix="first"
)
PARTS = 5  # of a manager: the save, the checkpointer, two stores of metadata, the deleter
SETTLE = 0.5  # seconds in which Orbax's other operations end after one has failed


@contextmanager
def opened(
    directory: epath.Path, *, keep: int = 2, keep_every: int | None = None
) -> Iterator[Manager | None]:
    """Opens (and makes) the folder of checkpoints; waits for unfinished saves at the end.

    Args:
      directory: where the numbered checkpoints are; local, or remote as ``gs://bucket/run``.
      keep: number of newest checkpoints that stay, at least 1.
      keep_every: checkpoints of steps that are multiples of this stay too.

    Yields:
      The manager on the first process, None on all others.

    Raises:
      CheckpointError: the folder cannot be made or written.
    """
    if not processes.is_first():
        yield None
        return
    options = ocp.CheckpointManagerOptions(
        max_to_keep=keep,
        keep_period=keep_every,
        cleanup_tmp_directories=True,
        create=False,
        multiprocessing_options=ALONE,
    )
    handler = ocp.StandardCheckpointHandler(multiprocessing_options=ALONE)
    directory = directory if directory.is_absolute() else directory.absolute()
    try:
        directory.mkdir(parents=True, exist_ok=True)
        manager = ocp.CheckpointManager(
            directory, options=options, item_handlers={"state": handler}
        )
    except OSError as error:
        raise CheckpointError(
            f"cannot write checkpoints to {directory}: {_reason(error)}. "
            "Make the folder writable or choose another --workdir"
        ) from error
    with _told_once():
        try:
            yield manager
        finally:
            with _written(manager):
                _close(manager)


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
    with _written(manager):
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
                f"checkpoint {step} in {directory} is damaged ({_reason(error)}): choose another"
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
        f"using the one before it ({_reason(error)})",
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


def _close(manager: Manager) -> None:
    """Ends every part of the manager, then raises the first error that one of them met.

    Orbax's ``close`` stops at the first part that failed and leaves the threads of the others
    alone; when Python collects such a manager inside of a thread's start, it waits for ever.
    """
    first = None
    for _ in range(PARTS):
        try:
            manager.close()
            break
        except Exception as error:  # noqa: BLE001 - Orbax passes on whatever its threads met
            first = first or error
    if first is not None:
        raise first


@contextmanager
def _written(manager: Manager) -> Iterator[None]:
    """Turns what a failed save raises into one line."""
    try:
        yield
    except Exception as error:  # noqa: BLE001 - Orbax passes on whatever its threads met
        time.sleep(SETTLE)
        raise CheckpointError(
            f"could not save a checkpoint to {manager.directory}: {_reason(error)}. "
            "Earlier checkpoints are untouched; free some space and run the same command again"
        ) from error


def _reason(error: Exception) -> str:
    """What the operating system said, else the first line."""
    code = getattr(error, "errno", None)
    if number := re.search(r"os_error_code='(\d+)'", str(error)):  # in TensorStore's messages
        code = int(number[1])
    return os.strerror(code) if code else (str(error) or type(error).__name__).splitlines()[0][:200]


@contextmanager
def _told_once() -> Iterator[None]:
    """Drops the tracebacks that Orbax's threads print of errors that ``_written`` tells.

    A save fails at any moment of the loop. Everything else on the same logger passes.
    """
    logger, hook = logging.getLogger("absl"), sys.unraisablehook

    def from_elsewhere(record: logging.LogRecord) -> bool:
        return "orbax" not in record.pathname

    def quiet(unraisable: Any) -> None:
        # Orbax closes its event loop at the first error; TensorStore's later operations then fail
        # in a place where nobody can catch it.
        if "Event loop is closed" not in str(unraisable.exc_value):
            hook(unraisable)

    logger.addFilter(from_elsewhere)
    sys.unraisablehook = quiet
    try:
        yield
    finally:
        logger.removeFilter(from_elsewhere)
        sys.unraisablehook = hook
