"""Fetches what steps yield a little late, so that the device never waits, and checks it."""

import math
import time
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

from jax import Array

from jax_bt import metrics, watch
from jax_bt.errors import Diverged

# How many steps the device may run ahead. Two keep it busy; more would only delay a NaN's report.
AHEAD = 2

# Beside its own "step", "seconds" and "images_per_second", a line of the log holds the terms of the
# loss and what is named so:
NOT_TERMS = ("_norm", "_rate", "_per_second")


def loss_terms(record: Mapping[str, Any]) -> dict[str, float]:
    """The loss and its terms in a line of metrics.jsonl."""
    return {
        name: value
        for name, value in record.items()
        if name not in ("step", "seconds", "skipped")
        and not name.endswith(NOT_TERMS)
        and "/" not in name
    }


class Log:
    """What the loop says of its steps; in order, each once.

    Args:
      writer: where lines go.
      rates: learning-rate schedules by name.
      every: steps between written lines; the last step of the run is always written, and so is
        one whose loss or gradient is not finite.
      total_steps: of the run.
      skip_limit: steps that may be left out because they are not finite (the step itself does
        that); None where the first ends the run. Lines then hold "skipped", how many so far.
      last_good: tells the step of the newest checkpoint, or None.
      verdict: tells from a line's values whether the run has collapsed (``watch.verdict``); None
        from a line without the signals.
    """

    def __init__(
        self,
        writer: metrics.Writer,
        rates: Mapping[str, Callable[[int], Array]],
        every: int,
        total_steps: int,
        *,
        skip_limit: int | None = None,
        last_good: Callable[[], int | None] = lambda: None,
        verdict: Callable[[Mapping[str, float]], str | None] = lambda record: None,
    ):
        self._writer, self._rates, self._every, self._total = writer, rates, every, total_steps
        self._skip_limit, self._last_good = skip_limit, last_good
        self._verdict, self._collapse = verdict, "none"
        self._pending: deque[tuple[int, float, Mapping[str, Array]]] = deque()

    def add(self, step: int, terms: Mapping[str, Array]) -> None:
        """Takes a step's terms, still being computed, and deals with those of AHEAD steps ago.

        Raises:
          Diverged: as ``drain``.
        """
        self._pending.append((step, time.perf_counter(), terms))
        while len(self._pending) > AHEAD:
            self._write(*self._pending.popleft())

    def drain(self) -> None:
        """Deals with every step taken so far.

        Raises:
          Diverged: the loss or the gradient norm of a step is not finite, or of too many.
        """
        while self._pending:
            self._write(*self._pending.popleft())

    def _write(self, step: int, at: float, terms: Mapping[str, Array]) -> None:
        last = step + 1 == self._total
        bad = [n for n in ("loss", "gradient_norm") if not math.isfinite(float(terms[n]))]
        skipped = int(terms.get("skipped", 0))  # counted by the state, so over restarts too
        if bad or last or step % self._every == 0:
            # jit sorts the names; people look for the loss first.
            names = sorted(terms, key=lambda n: (n != "loss", "/" in n, n.endswith(NOT_TERMS), n))
            values: dict[str, Any] = {n: terms[n] for n in names if _measured(n, terms[n])}
            values |= {name: rate(step) for name, rate in self._rates.items()}
            self._writer.write(step, values, at)
            self._tell_of_collapse(step, values)
        else:
            self._writer.tick(step)
        if bad and (self._skip_limit is None or skipped > self._skip_limit):
            raise Diverged(self._explain(step, terms, bad, skipped))

    def _tell_of_collapse(self, step: int, values: Mapping[str, float]) -> None:
        found = self._verdict(values) or self._collapse
        if found != self._collapse:
            meaning = (
                f"{found} collapse: {watch.MEANING[found]}" if found != "none" else "recovered"
            )
            self._writer.say(f"step {step}: {meaning} (docs/methods.md, Collapse)")
        self._collapse = found

    def _explain(self, step: int, terms: Mapping[str, Array], bad: list[str], skipped: int) -> str:
        shown = ", ".join(f"{n} {float(v):.4g}" for n, v in terms.items() if _measured(n, v))
        good = self._last_good()
        counted = f" ({skipped} steps skipped, {self._skip_limit} allowed)" if skipped else ""
        kept = "no checkpoint yet" if good is None else f"the checkpoint of step {good} is good"
        advice = (
            "a smaller learning rate, a longer warm-up, float32 instead of bfloat16, or look for "
            "bad images"
        )
        if self._skip_limit is None:
            advice += "; --config.skip_nonfinite=10 leaves out up to 10 such steps"
        return (
            f"{' and '.join(bad)} not finite at step {step}{counted}: {shown}; {kept}. Try {advice}"
        )


def _measured(name: str, value: Array) -> bool:
    """Whether a signal of collapse was measured at this step; everything else always is."""
    return "/" not in name or math.isfinite(float(value))
