"""Reads the metrics that a run has written: metrics.jsonl."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from etils import epath

from jax_bt.errors import WorkdirError
from jax_bt.train.workdir import write_whole

FILE = "metrics.jsonl"

Record = dict[str, Any]  # one line: {"step": 3, "seconds": 1.5, "loss": 0.1, ...}


def read(folder: epath.Path) -> list[Record]:
    """The lines of a run's metrics.jsonl, oldest first; an unfinished last line is left out.

    Args:
      folder: the run's folder.

    Returns:
      One dict per line; empty without the file. A value that was not finite is None.

    Raises:
      WorkdirError: a line before the last is damaged.
    """
    path = folder / FILE
    if not path.exists():
        return []
    lines = path.read_bytes().split(b"\n")
    unfinished = lines.pop()  # empty if the last line was finished
    records = []
    for number, line in enumerate(lines, start=1):
        try:
            record = json.loads(line)
            record["step"] = int(record["step"])
        except (ValueError, TypeError, KeyError) as error:
            if number == len(lines) and not unfinished:
                break  # its blocks had not reached the disk when the machine stopped
            raise WorkdirError(
                f"{path} line {number} is no metrics record; delete the line to go on"
            ) from error
        records.append(record)
    return records


def keep_before(folder: epath.Path, step: int) -> list[Record]:
    """Drops the lines of later steps from metrics.jsonl, and returns the lines that stay.

    A run that is cut short after its last checkpoint leaves lines of steps that it will repeat.

    Args:
      folder: the run's folder.
      step: the first step to be taken again.

    Raises:
      WorkdirError: as ``read``.
    """
    kept = [record for record in read(folder) if record["step"] < step] if step else []
    write_whole(folder / FILE, "".join(line(record) for record in kept))
    return kept


def line(record: Mapping[str, Any]) -> str:
    """A record as its line of the file."""
    return json.dumps(record, allow_nan=False) + "\n"


def total_seconds(history: Sequence[Record]) -> float:
    """Seconds that a run took up to its last line, with compilation and over all restarts."""
    return float(history[-1]["seconds"]) if history else 0.0


def rate(history: Sequence[Record]) -> float:
    """Images per second over all lines that hold a rate, so without compilation; 0 with none."""
    steps, time_per_batch, last = 0, 0.0, -1
    for record in history:
        if record.get("images_per_second"):
            steps += record["step"] - last
            time_per_batch += (record["step"] - last) / record["images_per_second"]
        last = record["step"]
    return steps / time_per_batch if steps else 0.0
