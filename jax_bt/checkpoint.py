"""Checkpoints of the training state through Orbax: open, save, restore.

A checkpoint is a whole ``TrainState``; the input pipeline needs nothing, since batches are a
function of (seed, step). Orbax writes into a temporary folder and renames it, so a half-written
checkpoint is never seen. Saving runs in the background; ``wait`` waits for it.
"""

import pathlib
import warnings
from typing import Any

import jax
import orbax.checkpoint as ocp

from jax_bt.errors import CheckpointError

PyTree = Any
Manager = ocp.CheckpointManager


def open(directory: pathlib.Path, *, keep: int = 2, keep_every: int | None = None) -> Manager:
    """Opens (and makes) the folder of checkpoints.

    Args:
      directory: where the numbered checkpoints live.
      keep: how many of the newest stay.
      keep_every: every checkpoint whose step is a multiple of this stays for good.

    Raises:
      CheckpointError: the folder cannot be made or written.
    """
    directory = pathlib.Path(directory).absolute()
    options = ocp.CheckpointManagerOptions(
        max_to_keep=keep, keep_period=keep_every, cleanup_tmp_directories=True
    )
    try:
        directory.mkdir(parents=True, exist_ok=True)
        return ocp.CheckpointManager(directory, options=options, item_names=("state",))
    except OSError as error:
        raise CheckpointError(
            f"cannot write checkpoints to {directory}: {error.strerror}. "
            "Make the folder writable or choose another --workdir"
        ) from error


def save(manager: Manager, state: PyTree) -> None:
    """Saves ``state`` under its own step, in the background; every process calls this.

    Raises:
      CheckpointError: this or the previous save failed (a full disk). Earlier checkpoints stay.
    """
    step = int(state.step)
    if step in manager.all_steps():
        return
    try:
        manager.save(step, args=ocp.args.Composite(state=ocp.args.StandardSave(state)))
    except (OSError, ValueError) as error:
        raise _write_error(manager, error) from error


def wait(manager: Manager) -> None:
    """Waits until what was saved is on disk.

    Raises:
      CheckpointError: as ``save``.
    """
    try:
        manager.wait_until_finished()
    except (OSError, ValueError) as error:
        raise _write_error(manager, error) from error


def restore(manager: Manager, like: PyTree) -> PyTree | None:
    """Reads the newest good checkpoint.

    A damaged one is reported, moved aside, and the one before it is used.

    Args:
      manager: from ``open``.
      like: a state of the right structure, shapes, dtypes and shardings; its values are not used.

    Returns:
      The state, bit for bit as saved, or None where there is no checkpoint.

    Raises:
      CheckpointError: the checkpoint is of another model (names the first differing arrays), or
        all checkpoints are damaged.
    """
    abstract = jax.tree.map(ocp.tree.to_shape_dtype_struct, like)
    steps = sorted(manager.all_steps(), reverse=True)
    for step in steps:
        try:
            stored = manager.item_metadata(step)["state"].tree
            _check_same(abstract, stored, step)
            args = ocp.args.Composite(state=ocp.args.StandardRestore(abstract))
            return manager.restore(step, args=args)["state"]
        except CheckpointError:
            raise
        except Exception as error:  # whatever a reader can say of damaged files
            _set_aside(manager, step, error)
    if steps:
        raise CheckpointError(
            f"every checkpoint in {manager.directory} is damaged (moved to damaged_*): "
            "restore one from a copy, or start afresh in another --workdir"
        )
    return None


def _set_aside(manager: Manager, step: int, error: Exception) -> None:
    reason = str(error).splitlines()[0][:200] if str(error) else type(error).__name__
    warnings.warn(
        f"checkpoint {step} in {manager.directory} is damaged and was moved to damaged_{step}; "
        f"using the one before it ({reason})",
        stacklevel=3,
    )
    if jax.process_index() == 0:
        path = pathlib.Path(manager.directory) / str(step)
        path.rename(path.with_name(f"damaged_{step}"))
    manager.reload()


def _check_same(abstract: PyTree, stored: PyTree, step: int) -> None:
    """Raises CheckpointError, naming the arrays that differ in presence or shape."""
    want, have = _shapes(abstract), _shapes(stored)
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


def _shapes(tree: PyTree) -> dict[str, tuple[int, ...]]:
    leaves = jax.tree_util.tree_flatten_with_path(tree)[0]
    shapes = {}
    for path, leaf in leaves:
        name = "/".join(_key(k) for k in path)
        shape = tuple(leaf.shape)
        is_key = jax.dtypes.issubdtype(getattr(leaf, "dtype", None), jax.dtypes.prng_key)
        # Typed keys are stored as their words.
        shapes[name] = shape + (2,) if is_key else shape
    return shapes


def _key(entry: Any) -> str:
    for attribute in ("key", "name", "idx"):
        if hasattr(entry, attribute):
            return str(getattr(entry, attribute))
    return str(entry)


def _write_error(manager: Manager, error: Exception) -> CheckpointError:
    reason = getattr(error, "strerror", None) or str(error).splitlines()[0][:200]
    return CheckpointError(
        f"could not save a checkpoint to {manager.directory}: {reason}. "
        "Earlier checkpoints are untouched; free some space and run the same command again"
    )
