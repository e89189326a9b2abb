"""What a run says while it trains: metrics.jsonl, TensorBoard events, a progress bar."""

import contextlib
import json
import math
import os
import pathlib
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TextIO

import numpy as np
import tensorboardX
import tqdm

FILE = "metrics.jsonl"


class Writer:
    """Writes the metrics of a run; a context manager.

    ``<workdir>/metrics.jsonl`` gets one JSON object a written step; a value that is not finite
    becomes null: NaN is no JSON, and a string would make a column of two kinds.
    ``<workdir>/tensorboard`` gets the finite values. A terminal gets a progress bar; a log file at
    most a line per 5 % or ten minutes, whichever is first, without control characters.

    A step appears once: resuming at step s drops the lines of steps >= s, which a run that was cut
    after its last checkpoint leaves behind, and a torn last line. "seconds" goes on from the last
    line kept.

    Args:
      workdir: directory of the run; made if missing.
      total_steps: of the whole run.
      start_step: the first step this process takes; 0 starts the files anew.
      batch_size: global batch in images; with it each line holds "images_per_second".
      shown: names of the values beside the bar; None shows the first four.
      progress: False shows neither bar nor progress lines.
      tensorboard: False writes no events.
      active: False makes every method do nothing; for all but the first process of many.
      stream: of the progress; standard error unless given.

    Raises:
      ValueError: metrics.jsonl is damaged before its last line.
    """

    def __init__(
        self,
        workdir: str | os.PathLike[str],
        total_steps: int,
        start_step: int = 0,
        *,
        batch_size: int | None = None,
        shown: Sequence[str] | None = None,
        progress: bool = True,
        tensorboard: bool = True,
        active: bool = True,
        stream: TextIO | None = None,
    ):
        self._total, self._last, self._batch_size = total_steps, start_step - 1, batch_size
        self._shown, self._active, self._stream = shown, active, stream or sys.stderr
        self._file = self._events = self._bar = None
        self._start = self._clock = time.perf_counter()
        self._timed_from, self._told_at, self._told_share = None, None, 0.0
        self._lines = progress and active
        if not active:
            return
        workdir = pathlib.Path(workdir)
        workdir.mkdir(parents=True, exist_ok=True)
        self._start -= total_seconds(_keep_before(workdir / FILE, start_step))
        self._file = open(workdir / FILE, "a", encoding="utf-8")
        if tensorboard:
            self._events = tensorboardX.SummaryWriter(
                str(workdir / "tensorboard"), purge_step=start_step
            )
        if self._lines and self._stream.isatty():
            self._lines = False
            rate = "" if batch_size else ", {rate_fmt}"
            self._bar = tqdm.tqdm(
                total=total_steps,
                initial=start_step,
                file=self._stream,
                unit="step",
                dynamic_ncols=True,
                bar_format="{percentage:3.0f}% {bar:20} {n_fmt}/{total_fmt} "
                "[{elapsed}<{remaining}" + rate + "]{postfix}",
            )

    def write(self, step: int, values: Mapping[str, Any], at: float | None = None) -> None:
        """Records the values of one step and moves the progress there.

        Args:
          step: counted from 0, larger than every step written before.
          values: name -> number (Python, NumPy or JAX scalar; fetching one waits for its step).
          at: ``time.perf_counter()`` of the step, where it is written later; now by default.

        Raises:
          ValueError: a step written before, a name the writer sets itself, a value that is no
            number.
        """
        if not self._active:
            return
        if step <= self._last:
            raise ValueError(f"step {step} comes after step {self._last}; each is written once")
        if taken := {"step", "seconds", "images_per_second"} & set(values):
            raise ValueError(f"{', '.join(sorted(taken))} is set by the writer; rename the value")
        values = {name: _number(name, value) for name, value in values.items()}
        shown = list(values)[:4] if self._shown is None else self._shown
        now = time.perf_counter() if at is None else at
        record = {"step": int(step), "seconds": round(now - self._start, 3)}
        if self._timed_from is None:
            self._timed_from = now, step  # what came before holds the compilation
        elif self._batch_size:
            rate = (step - self._last) * self._batch_size / max(now - self._clock, 1e-9)
            record["images_per_second"] = float(f"{rate:.4g}")
        self._clock, self._last = now, step
        record.update(values)
        finite = {k: v if math.isfinite(v) else None for k, v in record.items()}
        self._file.write(json.dumps(finite, allow_nan=False) + "\n")
        self._file.flush()
        if self._events:
            for name, value in finite.items():
                if name not in ("step", "seconds") and value is not None:
                    self._events.add_scalar(name, value, step)
        texts = [f"{name} {record[name]:.4g}" for name in shown if name in record]
        if "images_per_second" in record:
            texts.append(f"{record['images_per_second']:,.0f} images/s")
        if self._bar is not None:
            self._bar.set_postfix_str("  ".join(texts), refresh=False)
            self._bar.update(step + 1 - self._bar.n)
        elif self._lines:
            self._tell(step, now, texts)

    def tick(self, step: int) -> None:
        """Moves the bar to a step that is not written, so that slow steps show."""
        if self._bar is not None and step >= self._bar.n:
            self._bar.update(step + 1 - self._bar.n)

    def say(self, text: str) -> None:
        """Prints a line on standard output without breaking the bar."""
        if self._active:
            with tqdm.tqdm.external_write_mode(file=sys.stdout):
                print(text, flush=True)

    @contextlib.contextmanager
    def pause(self) -> Iterator[None]:
        """Leaves the time of the block (an evaluation, a checkpoint) out of the rates."""
        began = time.perf_counter()
        try:
            yield
        finally:
            away = time.perf_counter() - began
            self._clock += away
            if self._timed_from is not None:
                self._timed_from = self._timed_from[0] + away, self._timed_from[1]

    def close(self) -> None:
        """Ends the bar and closes the files; more calls do nothing."""
        self._active = False
        for part in (self._bar, self._events, self._file):
            if part is not None:
                part.close()
        self._bar = self._events = self._file = None

    def __enter__(self) -> "Writer":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _tell(self, step: int, now: float, texts: Sequence[str]) -> None:
        share = (step + 1) / self._total
        due = self._told_at is None or share >= 1 or now - self._told_at >= 600
        if not due and share < self._told_share + 0.05:
            return
        since, first = self._timed_from
        if step > first:
            left = (now - since) / (step - first) * (self._total - step - 1)
            texts = [*texts, f"ETA {tqdm.tqdm.format_interval(left)}"]
        words = [f"step {step + 1}/{self._total}", f"{share:4.0%}", *texts]
        print("  ".join(words), file=self._stream, flush=True)
        self._told_at, self._told_share = now, share


def read(workdir: str | os.PathLike[str]) -> list[dict[str, float | None]]:
    """The lines of a run's metrics.jsonl, oldest first; a torn last line is left out.

    Args:
      workdir: directory of the run.

    Returns:
      One dict a line; empty without the file.

    Raises:
      ValueError: a line before the last is damaged.
    """
    path = pathlib.Path(workdir) / FILE
    if not path.exists():
        return []
    lines = path.read_bytes().split(b"\n")
    torn = lines.pop()  # empty when the last line was finished
    records = []
    for number, line in enumerate(lines, start=1):
        try:
            record = json.loads(line)
            record["step"] = int(record["step"])
        except (ValueError, TypeError, KeyError) as error:
            if number == len(lines) and not torn:
                break  # finished but unreadable: its blocks never reached the disk
            raise ValueError(
                f"{path} line {number} is no metrics record; delete the line to go on"
            ) from error
        records.append(record)
    return records


def total_seconds(history: Sequence[Mapping[str, Any]]) -> float:
    """Seconds a run took until its last line, compilation and resumed processes included."""
    return float(history[-1]["seconds"]) if history else 0.0


def rate(history: Sequence[Mapping[str, Any]]) -> float:
    """Images per second over all lines that hold a rate, so without compilation; 0 with none."""
    steps, time_per_batch, last = 0, 0.0, -1
    for record in history:
        if record.get("images_per_second"):
            steps += record["step"] - last
            time_per_batch += (record["step"] - last) / record["images_per_second"]
        last = record["step"]
    return steps / time_per_batch if steps else 0.0


def _keep_before(path: pathlib.Path, step: int) -> list[dict[str, float | None]]:
    """Replaces the file by its lines of earlier steps, in one move, and returns them."""
    if not path.exists():
        return []
    kept = [record for record in read(path.parent) if record["step"] < step] if step else []
    new = path.with_suffix(".jsonl.new")
    with open(new, "w", encoding="utf-8") as file:
        file.writelines(json.dumps(record, allow_nan=False) + "\n" for record in kept)
        file.flush()
        os.fsync(file.fileno())
    os.replace(new, path)
    return kept


def _number(name: str, value: Any) -> float:
    array = np.asarray(value)
    if array.size != 1 or array.dtype.kind not in "fiubV":
        raise ValueError(f"{name} must be one number, got {array.dtype} of shape {array.shape}")
    number = array.reshape(()).astype(np.float64 if array.dtype.kind in "iub" else array.dtype)
    if number.dtype == np.float64:
        return float(number)
    # The shortest decimals that name this float32 (or bfloat16): 0.1, not 0.10000000149011612.
    return float(str(np.float32(number)))
