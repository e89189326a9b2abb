"""Writes the metrics of a run: metrics.jsonl, TensorBoard events, the progress on a terminal."""

import contextlib
import math
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TextIO

import numpy as np
import tensorboardX
import tqdm
from etils import epath

from jax_bt.train import history
from jax_bt.train.workdir import remote

# Values that the writer adds to a line.
OWN = {"step", "seconds", "images_per_second", "waiting", "utilisation"}
TOLD = 0.05  # share of waiting from which it is said beside the progress
SHOWN = 4  # values beside the progress
UPLOAD = 60.0  # seconds between copies to a remote folder


class Writer:
    """Writes the metrics of a run; a context manager.

    ``<folder>/metrics.jsonl`` gets one JSON object per written step; a value that is not finite
    becomes null, because JSON has no NaN and a string would mix types in one column.
    ``<folder>/tensorboard`` gets the finite values. A terminal gets a progress bar; a log file gets
    one line per 5 % or ten minutes, whichever is first, without control characters.

    Each step appears once: resuming at step s drops the lines of steps >= s. "seconds" goes on from
    the last line kept. "images_per_second" is measured between two lines, without ``saving``;
    "waiting" is the share of that time inside ``waiting``.

    Files in an object store cannot grow: for a remote folder both are written to a temporary
    folder and copied every minute, before each checkpoint and at the end.

    Args:
      folder: the run's folder; made if missing.
      total_steps: of the whole run.
      start_step: the first step that this process takes; 0 starts the files anew.
      batch_size: global batch in images; None: lines hold no "images_per_second".
      peak_rate: images/s at the devices' peak (``speed.peak_rate``): lines hold "utilisation", the
        share of it; None where it is not known.
      active: False makes every method do nothing, on all processes but the first.
      stream: where the progress goes; None: standard error.

    Raises:
      WorkdirError: metrics.jsonl is damaged before its last line.
    """

    def __init__(
        self,
        folder: epath.Path,
        total_steps: int,
        start_step: int = 0,
        *,
        batch_size: int | None = None,
        peak_rate: float | None = None,
        active: bool = True,
        stream: TextIO | None = None,
    ):
        self._total, self._last, self._batch_size = total_steps, start_step - 1, batch_size
        self._peak_rate = peak_rate
        self._active, self._stream = active, stream or sys.stderr
        self._start = self._clock = time.perf_counter()
        self._timed_from: tuple[float, int] | None = None  # time and step of the first line
        self._waited = 0.0
        self._saved: list[tuple[float, float]] = []  # beginning and end of what ``saving`` held
        self._told_at, self._told_share = None, 0.0
        self._bar = None
        if not active:
            return
        folder.mkdir(parents=True, exist_ok=True)
        kept = history.keep_before(folder, start_step)
        self._start -= history.total_seconds(kept)
        self._folder = self._local = folder
        self._closing = contextlib.ExitStack()
        if remote(folder):
            local = self._closing.enter_context(tempfile.TemporaryDirectory())
            self._local, self._uploaded = epath.Path(local), self._clock
            (folder / history.FILE).copy(self._local / history.FILE)
            self._closing.callback(self._upload)
        self._file = self._closing.enter_context((self._local / history.FILE).open("a"))
        self._events = tensorboardX.SummaryWriter(
            str(self._local / "tensorboard"), purge_step=start_step
        )
        self._closing.callback(self._events.close)
        if self._stream.isatty():
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
            self._closing.callback(self._bar.close)

    def write(self, step: int, values: Mapping[str, Any], at: float | None = None) -> None:
        """Records the values of one step and moves the progress there.

        Args:
          step: counted from 0, larger than every step written before.
          values: name -> number (Python, NumPy or JAX scalar; fetching one waits for its step).
          at: ``time.perf_counter()`` of the step if it is written later; None: now.

        Raises:
          ValueError: a step written before, a name that the writer sets itself, a value that is no
            number.
        """
        if not self._active:
            return
        if step <= self._last:
            raise ValueError(f"step {step} comes after step {self._last}; each is written once")
        if taken := OWN & set(values):
            raise ValueError(f"{', '.join(sorted(taken))} is set by the writer; rename the value")
        values = {name: _number(name, value) for name, value in values.items()}
        now = time.perf_counter() if at is None else at
        record: history.Record = {"step": int(step), "seconds": round(now - self._start, 3)}
        texts = [f"{name} {value:.4g}" for name, value in list(values.items())[:SHOWN]]
        if self._timed_from is None:
            self._timed_from = now, step  # the time before holds the compilation
        elif self._batch_size:
            passed = now - self._clock
            for began, ended in self._saved:
                passed -= max(0.0, min(ended, now) - max(began, self._clock))
            passed = max(passed, 1e-9)
            rate, waiting = (step - self._last) * self._batch_size / passed, self._waited / passed
            record |= {"images_per_second": _short(rate), "waiting": _short(min(waiting, 1.0))}
            texts.append(f"{rate:,.0f} images/s")
            if self._peak_rate:
                record["utilisation"] = _short(rate / self._peak_rate)
                texts.append(f"{rate / self._peak_rate:.0%} of the peak")
            if waiting > TOLD:
                texts.append(f"waiting for images {min(waiting, 1.0):.0%}")
        self._clock, self._last, self._waited = now, step, 0.0
        # A step may be written after the save that follows it.
        self._saved = [span for span in self._saved if span[1] > now]
        record |= {k: v if math.isfinite(v) else None for k, v in values.items()}
        self._file.write(history.line(record))
        self._file.flush()
        for name, value in record.items():
            if name not in ("step", "seconds") and value is not None:
                self._events.add_scalar(name, value, step)
        if remote(self._folder) and now - self._uploaded > UPLOAD:
            self._upload()
        if self._bar is not None:
            self._bar.set_postfix_str("  ".join(texts), refresh=False)
            self._bar.update(step + 1 - self._bar.n)
        else:
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
    def saving(self) -> Iterator[None]:
        """For a block that saves a checkpoint: leaves its time out of "images_per_second".

        What is written so far reaches a remote folder first: a run that goes on from the checkpoint
        finds the lines of all earlier steps.
        """
        began = time.perf_counter()
        if self._active and remote(self._folder):
            self._upload()
        yield
        self._saved.append((began, time.perf_counter()))

    @contextlib.contextmanager
    def waiting(self) -> Iterator[None]:
        """For a block that waits for the next batch: its share of the time is "waiting"."""
        began = time.perf_counter()
        yield
        self._waited += time.perf_counter() - began

    def close(self) -> None:
        """Ends the bar and closes the files; more calls do nothing."""
        if self._active:
            self._active = False
            self._closing.close()

    def __enter__(self) -> "Writer":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _upload(self) -> None:
        """Copies the files to the remote folder."""
        self._uploaded = time.perf_counter()
        self._events.flush()
        (self._folder / "tensorboard").mkdir(parents=True, exist_ok=True)
        for path in [self._local / history.FILE, *(self._local / "tensorboard").iterdir()]:
            path.copy(self._folder / path.relative_to(self._local), overwrite=True)

    def _tell(self, step: int, now: float, texts: Sequence[str]) -> None:
        """Prints a line of progress if one is due."""
        share = (step + 1) / self._total
        due = self._told_at is None or share >= 1 or now - self._told_at >= 600
        if not due and share < self._told_share + 0.05:
            return
        since, first = self._timed_from or (now, step)
        if step > first:
            left = (now - since) / (step - first) * (self._total - step - 1)
            texts = [*texts, f"ETA {tqdm.tqdm.format_interval(left)}"]
        words = [f"step {step + 1}/{self._total}", f"{share:4.0%}", *texts]
        print("  ".join(words), file=self._stream, flush=True)
        self._told_at, self._told_share = now, share


def _short(value: float) -> float:
    return float(f"{value:.4g}")


def _number(name: str, value: Any) -> float:
    array = np.asarray(value)
    if array.size != 1 or array.dtype.kind not in "fiubV":
        raise ValueError(f"{name} must be one number, got {array.dtype} of shape {array.shape}")
    number = array.reshape(()).astype(np.float64 if array.dtype.kind in "iub" else array.dtype)
    if number.dtype == np.float64:
        return float(number)
    # The shortest decimals that name this float32 (or bfloat16): 0.1, not 0.10000000149011612.
    return float(str(np.float32(number)))
