"""Checkpoints of the training state through Orbax: open, save, restore.

A checkpoint is a whole ``TrainState``; the input pipeline needs nothing, since batches are a
function of (seed, step). The state is the same on every device, so the first process alone writes
and reads, and sends what it read to the others: no shared file system is needed, and no process
waits for another's disk. Orbax writes into a temporary folder and renames it, so a half-written
checkpoint is never seen. Saving runs in the background; ``wait`` waits for it.
"""

import logging
import os
import pathlib
import re
import shutil
import sys
import time
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp
from jax.sharding import Mesh

from jax_bt.devices import mesh as meshes
from jax_bt.errors import CheckpointError

PyTree = Any
Manager = ocp.CheckpointManager
# Process 0 reads and writes by itself; Orbax else meets all processes at every turn.
ALONE = ocp.options.MultiprocessingOptions(
    primary_host=0, active_processes={0}, barrier_sync_key_prefix="first"
)

SETTLE = 0.5  # seconds in which operations that were under way beside a failed one end


@contextmanager
def open(
    directory: pathlib.Path, *, keep: int = 2, keep_every: int | None = None
) -> Iterator[Manager | None]:
    """Opens (and makes) the folder of checkpoints; waits for unfinished saves when it closes.

    Args:
      directory: where the numbered checkpoints live.
      keep: how many of the newest stay.
      keep_every: every checkpoint whose step is a multiple of this stays for good.

    Yields:
      The manager on the first process, None on others.

    Raises:
      CheckpointError: the folder cannot be made or written.
    """
    if jax.process_index() > 0:
        yield None
        return
    directory = pathlib.Path(directory).absolute()
    options = ocp.CheckpointManagerOptions(
        max_to_keep=keep,
        keep_period=keep_every,
        cleanup_tmp_directories=True,
        create=False,
        multiprocessing_options=ALONE,
    )
    handler = ocp.StandardCheckpointHandler(multiprocessing_options=ALONE)
    try:
        directory.mkdir(parents=True, exist_ok=True)
        manager = ocp.CheckpointManager(
            directory, options=options, item_handlers={"state": handler}
        )
    except OSError as error:
        raise CheckpointError(
            f"cannot write checkpoints to {directory}: {error.strerror}. "
            "Make the folder writable or choose another --workdir"
        ) from error
    with _errors_told_once():
        try:
            yield manager
        finally:
            try:
                manager.close()
            except Exception as error:  # noqa: BLE001 - as in save
                raise _write_error(manager, error) from error


@contextmanager
def _errors_told_once() -> Iterator[None]:
    """Keeps to one line what Orbax raises here and its threads tell once more, with tracebacks."""
    logger, hook = logging.getLogger("absl"), sys.unraisablehook
    level = logger.level

    def quiet(unraisable: Any) -> None:
        # At the first operation that fails Orbax closes its event loop, and each of TensorStore's
        # that end later complains about it where nobody can catch it.
        if "Event loop is closed" not in str(unraisable.exc_value):
            hook(unraisable)

    logger.setLevel(logging.CRITICAL)
    sys.unraisablehook = quiet
    try:
        yield
    except CheckpointError:
        time.sleep(SETTLE)
        raise
    finally:
        logger.setLevel(level)
        sys.unraisablehook = hook


def save(manager: Manager | None, state: PyTree) -> None:
    """Saves ``state`` under its own step, in the background.

    Args:
      manager: from ``open``.
      state: the training state, replicated.

    Raises:
      CheckpointError: this or the previous save failed (a full disk). Earlier checkpoints stay.
    """
    if manager is None:
        return
    step = int(state.step)
    if step in manager.all_steps():
        return
    host = _to_host(state)
    item = {"state": host, "checksum": _checksum(host)}
    try:
        manager.save(step, args=ocp.args.Composite(state=ocp.args.StandardSave(item)))
    except Exception as error:  # noqa: BLE001 - Orbax passes on whatever its threads met
        raise _write_error(manager, error) from error


def wait(manager: Manager | None) -> None:
    """Waits until what was saved is on disk.

    Raises:
      CheckpointError: as ``save``.
    """
    if manager is None:
        return
    try:
        manager.wait_until_finished()
    except Exception as error:  # noqa: BLE001 - as above
        raise _write_error(manager, error) from error


def restore(manager: Manager | None, like: PyTree, mesh: Mesh) -> PyTree | None:
    """Reads the newest good checkpoint; every process calls this.

    A damaged one is reported, moved aside, and the one before it is used.

    Args:
      manager: from ``open``.
      like: a state of the right structure, shapes and dtypes; its values are not used.
      mesh: the mesh of all devices.

    Returns:
      The state, bit for bit as saved and replicated, or None where there is no checkpoint.

    Raises:
      CheckpointError: the checkpoint is of another model (names the first differing arrays), or
        all checkpoints are damaged.
    """
    empty = jax.tree.map(lambda x: np.zeros(x.shape, x.dtype), jax.eval_shape(_words, like))
    host = None if manager is None else _newest(manager, empty)
    if not meshes.from_first_process(mesh, np.array(host is not None)):
        return None
    words = meshes.from_first_process(mesh, empty if host is None else host)
    return jax.tree.map(
        lambda x, w: jax.random.wrap_key_data(w, impl=jax.random.key_impl(x)) if _is_key(x) else w,
        like,
        words,
    )


def _newest(manager: Manager, empty: PyTree) -> PyTree | None:
    """The host arrays of the newest checkpoint that can be read."""
    steps = sorted(manager.all_steps(), reverse=True)
    item = {"state": empty, "checksum": np.zeros((), np.uint32)}
    for step in steps:
        try:
            _check_same(item, manager.item_metadata(step)["state"].tree, step)
            args = ocp.args.Composite(state=ocp.args.StandardRestore(item))
            read = manager.restore(step, args=args)["state"]
            if read["checksum"] != _checksum(read["state"]):
                raise ValueError("its checksum is wrong")
            return read["state"]
        except CheckpointError:
            raise
        except Exception as error:  # noqa: BLE001 - whatever a reader can say of damaged files
            _set_aside(manager, step, error)
    if steps:
        raise CheckpointError(
            f"every checkpoint in {manager.directory} is damaged (moved to damaged_*): "
            "restore one from a copy, or start afresh in another --workdir"
        )
    return None


def newest_step(manager: Manager | None) -> int | None:
    """The step of the newest checkpoint on disk, or None."""
    return None if manager is None else manager.latest_step()


def _is_key(x: Any) -> bool:
    return jax.dtypes.issubdtype(x.dtype, jax.dtypes.prng_key)


def _words(state: PyTree) -> PyTree:
    """The state with typed PRNG keys as their words."""
    return jax.tree.map(lambda x: jax.random.key_data(x) if _is_key(x) else x, state)


def _to_host(state: PyTree) -> PyTree:
    # Copies: on a CPU the arrays of device_get are the device's own, which the next step takes.
    return jax.tree.map(lambda x: np.array(x, copy=True), jax.device_get(_words(state)))


def _checksum(tree: PyTree) -> np.ndarray:
    """CRC-32 of all bytes; Orbax's files find a missing piece, not every changed one."""
    value = 0
    for leaf in jax.tree.leaves(tree):
        value = zlib.crc32(np.ascontiguousarray(leaf).reshape(-1).view(np.uint8), value)
    return np.array(value, np.uint32)


def _set_aside(manager: Manager, step: int, error: Exception) -> None:
    path = pathlib.Path(manager.directory) / str(step)
    aside = path.with_name(f"damaged_{step}")
    reason = str(error).splitlines()[0][:200] if str(error) else type(error).__name__
    warnings.warn(
        f"checkpoint {step} in {manager.directory} is damaged and was moved to {aside.name}; "
        f"using the one before it ({reason})",
        stacklevel=4,
    )
    time.sleep(SETTLE)  # its other arrays may still be read
    shutil.rmtree(aside, ignore_errors=True)
    path.rename(aside)
    manager.reload()


def _check_same(wanted: PyTree, stored: PyTree, step: int) -> None:
    """Raises CheckpointError, naming the arrays that differ in presence, shape or dtype."""
    want, have = _shapes(wanted), _shapes(stored)
    differing = [
        f"{name} ({have.get(name, 'absent')} stored, {want.get(name, 'absent')} wanted)"
        for name in sorted(want.keys() | have.keys())
        if want.get(name) != have.get(name)
    ]
    if differing:
        shown = ", ".join(differing[:4]) + (
            f" and {len(differing) - 4} more" * (len(differing) > 4)
        )
        raise CheckpointError(
            f"checkpoint {step} is of another model: {shown}. "
            "Use the config it was trained with, or another --workdir"
        )


def _shapes(tree: PyTree) -> dict[str, str]:
    """Names of the arrays with their dtype and shape."""
    leaves = jax.tree_util.tree_flatten_with_path(tree)[0]
    return {
        "/".join(_key(k) for k in path[1:]): f"{np.dtype(leaf.dtype)}{list(leaf.shape)}"
        for path, leaf in leaves
    }


def _key(entry: Any) -> str:
    for attribute in ("key", "name", "idx"):
        if hasattr(entry, attribute):
            return str(getattr(entry, attribute))
    return str(entry)


def _write_error(manager: Manager, error: Exception) -> CheckpointError:
    number = re.search(r"os_error_code='(\d+)'", str(error))  # as TensorStore words it
    code = int(number[1]) if number else getattr(error, "errno", None)
    reason = os.strerror(code) if code else str(error).splitlines()[0][:200]
    return CheckpointError(
        f"could not save a checkpoint to {manager.directory}: {reason}. "
        "Earlier checkpoints are untouched; free some space and run the same command again"
    )
