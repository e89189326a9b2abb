"""Opens Orbax's manager of checkpoints, and tells of its failures in one line."""

import logging
import os
import re
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import orbax.checkpoint as ocp
from etils import epath

from jax_bt.devices import processes
from jax_bt.errors import CheckpointError

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
            f"cannot write checkpoints to {directory}: {reason(error)}. "
            "Make the folder writable or choose another --workdir"
        ) from error
    with _told_once():
        try:
            yield manager
        finally:
            with written(manager):
                _close(manager)


@contextmanager
def written(manager: Manager) -> Iterator[None]:
    """Turns what a failed save raises into one line."""
    try:
        yield
    except Exception as error:  # noqa: BLE001 - Orbax passes on whatever its threads met
        time.sleep(SETTLE)
        raise CheckpointError(
            f"could not save a checkpoint to {manager.directory}: {reason(error)}. "
            "Earlier checkpoints are untouched; free some space and run the same command again"
        ) from error


def reason(error: Exception) -> str:
    """What the operating system said, else the first line."""
    code = getattr(error, "errno", None)
    if number := re.search(r"os_error_code='(\d+)'", str(error)):  # in TensorStore's messages
        code = int(number[1])
    return os.strerror(code) if code else (str(error) or type(error).__name__).splitlines()[0][:200]


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
def _told_once() -> Iterator[None]:
    """Drops the tracebacks that Orbax's threads print of errors that ``written`` tells.

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
