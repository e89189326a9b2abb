"""A run's folder: the config it was started with, and what it achieved."""

import errno
import json
import pathlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from jax_bt.errors import WorkdirError


def prepare(
    workdir: pathlib.Path, config: dict[str, Any], *, write: bool, allow_change: bool = False
) -> None:
    """Makes the folder and records the config, or checks it against the recorded one.

    Args:
      workdir: the run's folder.
      config: the config as JSON types.
      write: whether this process writes; one of all does.
      allow_change: go on with a config that differs, and record the new one.

    Raises:
      WorkdirError: the folder belongs to another config, or cannot be written.
    """
    path = workdir / "config.json"
    config = json.loads(json.dumps(config))  # tuples become lists, as in the file
    if path.exists() and not allow_change:
        try:
            recorded = json.loads(path.read_text())
        except ValueError as error:
            raise WorkdirError(f"{path} is not valid JSON: remove it to go on ({error})") from error
        differing = _differing(recorded, config)
        if differing:
            raise WorkdirError(
                f"{workdir} holds a run with another config: {'; '.join(differing[:6])}. "
                "Choose another --workdir, or pass --allow_config_change to go on with the new one"
            )
    if write:
        try:
            workdir.mkdir(parents=True, exist_ok=True)
            write_json(path, config)
        except OSError as error:
            raise WorkdirError(
                f"cannot write to {workdir}: {error.strerror}. Choose another --workdir"
            ) from error


@contextmanager
def writing(workdir: pathlib.Path) -> Iterator[None]:
    """Turns a disk that takes no more within the block into one line.

    Raises:
      WorkdirError: the disk is full, over its quota or read-only.
    """
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS):
            raise
        raise WorkdirError(
            f"cannot write to {workdir}: {error.strerror}. What it holds is untouched; make room "
            "and run the same command again"
        ) from error


def write_json(path: pathlib.Path, value: Any) -> None:
    """Writes a file whole or not at all."""
    partial = path.with_suffix(".partial")
    partial.write_text(json.dumps(value, indent=2) + "\n")
    partial.replace(path)


def summary(workdir: pathlib.Path) -> dict[str, Any] | None:
    """The summary of a finished run, or None."""
    path = workdir / "summary.json"
    return json.loads(path.read_text()) if path.exists() else None


def _differing(recorded: dict[str, Any], asked: dict[str, Any], prefix: str = "") -> list[str]:
    """Differences as "encoder.width: 1 recorded, 2 asked"."""
    lines = []
    for key in sorted(recorded.keys() | asked.keys()):
        old, new = recorded.get(key, "absent"), asked.get(key, "absent")
        if isinstance(old, dict) and isinstance(new, dict):
            lines += _differing(old, new, f"{prefix}{key}.")
        elif old != new:
            lines.append(f"{prefix}{key}: {old} recorded, {new} asked")
    return lines
