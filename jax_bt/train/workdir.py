"""Opens a run's folder: its path, its lock, and the record of what the run started with."""

import contextlib
import enum
import errno
import json
import os
import socket
import time
import warnings
from collections.abc import Iterator, Mapping
from typing import Any

from etils import epath

from jax_bt.errors import UsageError, WorkdirError

try:
    import fcntl
except ImportError:  # Windows: no locks
    fcntl = None

CONFIG, RUN, SUMMARY, LOCK = "config.json", "run.json", "summary.json", ".lock"
LENGTH = ("steps", "epochs")  # config fields that only say how long a run is
WHERE = ("data.data_dir", "data.download")  # say where data lie: what they are, `run.json` knows
SHOWN = 6  # differences named in one line
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS)


class Status(enum.IntEnum):
    """What there is to do in a run's folder."""

    FRESH = 0  # start
    UNFINISHED = 1  # go on from the newest checkpoint
    EXTENDED = 2  # the same, of a run that had finished with fewer steps
    FINISHED = 3  # nothing


def path(text: str | os.PathLike[str]) -> epath.Path:
    """A folder as people write it: ``~`` is expanded; ``gs://bucket/run`` is remote.

    Raises:
      UsageError: another kind of remote path.
    """
    try:
        return epath.Path(text).expanduser()
    except KeyError as error:
        raise UsageError(
            f"{text} cannot be used: give a local folder, gs://... or s3://..."
        ) from error


def remote(folder: epath.Path) -> bool:
    """Whether a path is in an object store, where files are written whole and cannot be locked."""
    return "://" in os.fspath(folder)


@contextlib.contextmanager
def held(folder: epath.Path) -> Iterator[None]:
    """Makes the folder and keeps other processes out of it; on the first process only.

    The operating system's lock ends with the process, however that ends. Object stores, and some
    network file systems, have no locks: there two runs are not kept apart.

    Raises:
      WorkdirError: another process holds the folder (the message says which), or the folder cannot
        be written.
    """
    with _writable(folder):
        folder.mkdir(parents=True, exist_ok=True)
        # "a" keeps what the holder wrote.
        lock = contextlib.nullcontext() if remote(folder) else open(folder / LOCK, "a+")
    with lock as file:
        if file is not None:
            _lock(file, folder)
        yield


def _lock(file: Any, folder: epath.Path) -> None:
    if fcntl is None:
        return
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        file.seek(0)
        raise WorkdirError(
            f"{folder} is in use by {file.read() or 'another process'}. Wait for its end, stop it, "
            "or choose another --workdir"
        ) from error
    except OSError:  # a file system without locks
        return
    file.truncate(0)
    since = time.strftime("%Y-%m-%d %H:%M:%S")
    file.write(f"process {os.getpid()} on {socket.gethostname()} since {since}")
    file.flush()


def prepare(
    folder: epath.Path,
    config: Mapping[str, Any],
    *,
    total_steps: int,
    data: Mapping[str, Any],
    reached: int = 0,
    defaults: Mapping[str, Any] | None = None,
    allow_change: bool = False,
) -> Status:
    """Compares a run with the record in its folder, says what there is to do, and records it.

    The first process alone calls this, inside ``held``. Nothing is written before it is decided
    that the run may go on, and nothing in the folder of a finished one. More steps extend a run,
    finished or not; its summary.json then becomes summary_<steps>.json.

    Args:
      folder: the run's folder, which exists.
      config: the config as JSON types.
      total_steps: of the run, which the config may give in epochs.
      data: what identifies the training data (size, hash of the names, ...), as JSON types.
      reached: step of the newest checkpoint; 0 without one.
      defaults: default config; a field that the record does not know yet is no difference if it
        has its default.
      allow_change: go on although config or data differ, and record the new ones. Another method,
        or fewer steps than the newest checkpoint has, is refused all the same.

    Raises:
      WorkdirError: the folder holds a run that this one cannot go on with, or cannot be written.
    """
    config, data = json.loads(json.dumps([config, data]))  # tuples become lists, as in the files
    recorded, run, done = (_read(folder / name) for name in (CONFIG, RUN, SUMMARY))
    finished = done is not None
    before = run["total_steps"] if run else done.get("steps", reached) if done else 0  # 0: unknown
    if recorded and recorded.get("method") != config.get("method"):
        raise WorkdirError(
            f"{folder} holds a run of another method ({recorded.get('method')} recorded, "
            f"{config.get('method')} asked). Choose another --workdir"
        )
    changes = _differing(recorded, config, defaults or {}, "asked") if recorded else {}
    data_changes = _differing(run["data"], data, data, "found") if run else {}
    # The number of steps counts, not the field that gives it; and the data, not their place.
    same = (LENGTH if before else ()) + (WHERE if run else ())
    changes = {name: words for name, words in changes.items() if name not in same}

    if finished and total_steps == before:
        if changes:
            raise WorkdirError(
                f"{folder} holds a finished run with another config: {_shown(changes)}. "
                "Choose another --workdir"
            )
        if data_changes:
            warnings.warn(
                f"the data of this run have changed: {_shown(data_changes)}", stacklevel=2
            )
        return Status.FINISHED
    if data_changes and not allow_change:
        raise WorkdirError(
            f"the data have changed since the run in {folder} began: {_shown(data_changes)}. Put "
            "them back, choose another --workdir, or pass --allow_config_change to go on with them"
        )
    if total_steps < max(reached, before if finished else 0):
        raise WorkdirError(
            f"{folder} holds a run that has taken {reached or before} steps, more than the "
            f"{total_steps} asked for. Ask for more steps, or choose another --workdir"
        )
    if finished and not reached:
        raise WorkdirError(
            f"{folder} holds a finished run without checkpoints, which cannot go on. "
            "Choose another --workdir"
        )
    if total_steps < before:
        changes["steps"] = f"{before} recorded, {total_steps} asked"
    if changes and not allow_change:
        raise WorkdirError(
            f"{folder} holds a run with another config: {_shown(changes)}. "
            "Choose another --workdir, or pass --allow_config_change to go on with the new one"
        )

    with _writable(folder):
        if finished:
            (folder / SUMMARY).replace(folder / f"summary_{before}.json")
        write_json(folder / CONFIG, config)
        write_json(folder / RUN, {"total_steps": total_steps, "data": data})
    if 0 < before < total_steps:
        print(f"{folder} is extended from {before} to {total_steps} steps")
    if finished:
        return Status.EXTENDED
    return Status.UNFINISHED if recorded or reached else Status.FRESH


def record(folder: epath.Path) -> dict[str, Any] | None:
    """The config that a folder's run was started with, as JSON types, or None.

    Raises:
      WorkdirError: it is damaged or cannot be read.
    """
    return _read(folder / CONFIG)


def flat(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """{"encoder": {"width": 1}} as {"encoder.width": 1}."""
    found: dict[str, Any] = {}
    for name, value in tree.items():
        if isinstance(value, Mapping):
            found |= flat(value, f"{prefix}{name}.")
        else:
            found[prefix + name] = value
    return found


def summary(folder: epath.Path) -> dict[str, Any] | None:
    """The summary of a finished run, or None.

    Raises:
      WorkdirError: it is damaged or cannot be read.
    """
    return _read(folder / SUMMARY)


@contextlib.contextmanager
def writing(folder: epath.Path) -> Iterator[None]:
    """Turns a disk that takes no more within the block into one line.

    Raises:
      WorkdirError: the disk is full, over its quota or read-only.
    """
    try:
        yield
    except OSError as error:
        if error.errno not in FULL:
            raise
        raise WorkdirError(
            f"cannot write to {folder}: {error.strerror}. What it holds is untouched; make room "
            "and run the same command again"
        ) from error


def write_json(path: epath.Path, value: Any) -> None:
    """Writes a JSON file whole or not at all."""
    write_whole(path, json.dumps(value, indent=2) + "\n")


def write_whole(path: epath.Path, text: str) -> None:
    """Writes a file whole or not at all, also if the machine stops."""
    partial = path.parent / f"{path.name}.partial"
    with partial.open("w") as file:
        file.write(text)
        if not remote(path):
            file.flush()
            os.fsync(file.fileno())
    partial.replace(path)


def _read(path: epath.Path) -> dict[str, Any] | None:
    try:
        return json.loads(path.read_text()) if path.exists() else None
    except ValueError as error:
        raise WorkdirError(f"{path} is not valid JSON: remove it to go on ({error})") from error
    except OSError as error:
        raise WorkdirError(f"cannot read {path}: {error.strerror}") from error


@contextlib.contextmanager
def _writable(folder: epath.Path) -> Iterator[None]:
    """Turns the reason why a folder cannot be made, reached or written into one line."""
    try:
        yield
    except Exception as error:  # noqa: BLE001 - clients of object stores raise anything
        if not isinstance(error, OSError) and not remote(folder):
            raise
        reason = getattr(error, "strerror", None) or str(error).partition("\n")[0][:200]
        if os.fspath(folder).startswith("s3://"):
            reason += "; s3:// needs `pip install s3fs` and EPATH_USE_TF=false in the environment"
        raise WorkdirError(
            f"cannot write to {folder}: {reason}. Choose another --workdir"
        ) from error


def _differing(
    recorded: Mapping[str, Any], now: Mapping[str, Any], defaults: Mapping[str, Any], verb: str
) -> dict[str, str]:
    """Differences by field: {"encoder.width": "1 recorded, 2 asked"}.

    A field that is new since the record counts unless it has its default. One that is no longer
    there is named in a warning.
    """
    old, new, default = flat(recorded), flat(now), flat(defaults)
    if gone := old.keys() - new.keys():
        words = {name: f"{old[name]} recorded" for name in sorted(gone)}
        warnings.warn(f"ignoring fields that no longer exist: {_shown(words)}", stacklevel=3)
    return {
        name: f"{old.get(name, 'absent')} recorded, {value} {verb}"
        for name, value in new.items()
        if value != old.get(name, default.get(name, _ABSENT))
    }


_ABSENT = object()


def _shown(changes: Mapping[str, str]) -> str:
    lines = [f"{name}: {words}" for name, words in changes.items()]
    more = f"; and {len(lines) - SHOWN} more" if len(lines) > SHOWN else ""
    return "; ".join(lines[:SHOWN]) + more
