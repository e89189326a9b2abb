"""Reads metrics two steps late, so that the loop does not block, and stops at a non-finite loss."""

import math
import time
from collections import deque
from collections.abc import Callable, Mapping

import numpy as np

from jax_bt import optim
from jax_bt.errors import Diverged
from jax_bt.train import collapse
from jax_bt.train.step import Metrics
from jax_bt.train.writer import Writer

# How many steps the device may run ahead. Two keep it busy; more would only delay a NaN's report.
AHEAD = 2


class Monitor:
    """Fetches, checks and writes the metrics of each step, in order, each once.

    Args:
      writer: where lines go.
      rates: learning-rate schedules by name.
      every: steps between written lines; the last step of the run is always written, and so is
        one whose loss or gradient is not finite.
      total_steps: of the run.
      skip_limit: number of steps that may be left out because they are not finite (the step itself
        leaves them out); None where the first ends the run. Lines then hold "skipped", the number
        so far.
      least_scale: of the method, for ``collapse.verdict``.
      last_good: tells the step of the newest checkpoint, or None.
    """

    def __init__(
        self,
        writer: Writer,
        rates: Mapping[str, optim.schedules.Schedule],
        *,
        every: int,
        total_steps: int,
        skip_limit: int | None = None,
        least_scale: float | None = None,
        last_good: Callable[[], int | None] = lambda: None,
    ):
        self._writer, self._rates, self._every, self._total = writer, rates, every, total_steps
        self._skip_limit, self._least_scale, self._last_good = skip_limit, least_scale, last_good
        self._collapse = "none"
        self._pending: deque[tuple[int, float, Metrics, Mapping[str, float]]] = deque()

    def add(
        self, step: int, metrics: Metrics, evaluated: Mapping[str, float] | None = None
    ) -> None:
        """Takes a step's metrics, still being computed, and deals with those of AHEAD steps ago.

        Args:
          step: counted from 0.
          metrics: of the step.
          evaluated: results of an evaluation after the step, which is then written.

        Raises:
          Diverged: as ``drain``.
        """
        self._pending.append((step, time.perf_counter(), metrics, evaluated or {}))
        while len(self._pending) > AHEAD:
            self._deal_with(*self._pending.popleft())

    def drain(self) -> None:
        """Deals with every step taken so far.

        Raises:
          Diverged: the loss or the gradient norm of a step is not finite, or of too many steps.
        """
        while self._pending:
            self._deal_with(*self._pending.popleft())

    def _deal_with(
        self, step: int, at: float, metrics: Metrics, evaluated: Mapping[str, float]
    ) -> None:
        checked = {
            "loss": metrics.terms["loss"],
            "gradient_norm": metrics.norms["gradient_norm"],
        }
        bad = [name for name, value in checked.items() if not math.isfinite(float(value))]
        if bad or evaluated or step + 1 == self._total or step % self._every == 0:
            self._write(step, at, metrics, evaluated)
        else:
            self._writer.tick(step)
        skipped = int(metrics.skipped)  # counted by the state, so over restarts too
        if bad and (self._skip_limit is None or skipped > self._skip_limit):
            raise Diverged(self._explain(step, metrics, bad, skipped))

    def _write(
        self, step: int, at: float, metrics: Metrics, evaluated: Mapping[str, float]
    ) -> None:
        # jit sorts the names; people look for the loss first.
        terms = {"loss": metrics.terms["loss"], **metrics.terms}
        signals = {name: np.float32(value) for name, value in metrics.signals.items()}
        measured = {name: value for name, value in signals.items() if math.isfinite(value)}
        skipped = {} if self._skip_limit is None else {"skipped": metrics.skipped}
        rates = {name: np.float32(rate(step)) for name, rate in self._rates.items()}
        probes = {**metrics.online, **evaluated}
        values = {**terms, **probes, **metrics.norms, **skipped, **measured, **rates}
        self._writer.write(step, values, at)
        found = collapse.verdict(measured, self._least_scale) or self._collapse
        if found != self._collapse:
            self._writer.say(f"step {step}: {collapse.words(found)}")
        self._collapse = found

    def _explain(self, step: int, metrics: Metrics, bad: list[str], skipped: int) -> str:
        shown = {**metrics.terms, **metrics.norms}
        values = ", ".join(f"{name} {float(value):.4g}" for name, value in shown.items())
        rates = ", ".join(f"{name} {float(rate(step)):.4g}" for name, rate in self._rates.items())
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
            f"{' and '.join(bad)} not finite at step {step}{counted}: {values}; {rates}; {kept}. "
            f"Try {advice}"
        )
