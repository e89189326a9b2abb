"""Decides when to save and when to stop, at the same step on every process."""

import itertools
import signal
import threading
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from jax_bt.devices import processes

PERIOD = 1.0  # seconds between two agreements of several processes, about
KEPT = 100  # agreements in the store; no process is so many steps behind another
PATIENCE = 86_400_000  # milliseconds; processes.py ends this process long before, if need be

_numbers = itertools.count()  # each Stopping of a process has its own keys in the store


class Stopping:
    """Tells after every step whether to stop and whether to save.

    A signal may reach one process only, and clocks differ. So the first process decides for all,
    at certain steps: there it writes its decision to the run's store of keys and values, together
    with the next step at which it will decide, about PERIOD seconds later, and all processes read
    it. The decision uses no device operation, which could meet those of the step in another order
    on another process. A single process decides after every step.

    Args:
      every_steps: save after steps that are multiples of it; 0: by the clock alone.
      every_minutes: save this long after the last save, by the first process's clock; None: by
        steps alone.
    """

    def __init__(self, *, every_steps: int = 0, every_minutes: float | None = None):
        self._every_steps, self._every_minutes = every_steps, every_minutes
        self._saved_at = time.monotonic()
        self._store, self._keys = processes.store(), f"jax_bt/stopping/{next(_numbers)}"
        self._asked = False  # whether this process has asked for a stop
        self._next: int | None = None  # the step of the next decision; None: the first step
        self._gap = 0  # steps from the last decision to the next
        self._decided = 0, 0.0  # step and time of the last decision
        self._written: deque[str] = deque()

    def after(self, step: int, received: Sequence[Any]) -> tuple[bool, bool]:
        """Whether to stop after this step, and whether to save; the same on every process.

        Args:
          step: the step just taken, from 0; every process calls this once after each of its steps.
          received: from ``signals``; not empty asks for a stop.
        """
        stop, save = bool(received), self._late()
        if self._store is not None:
            stop, save = self._agree(step, stop, save)
        if self._every_steps and (step + 1) % self._every_steps == 0:
            save = True
        if save:
            self._saved_at = time.monotonic()
        return stop, save

    def _late(self) -> bool:
        """Whether every_minutes have passed since the last save."""
        if not self._every_minutes:
            return False
        return time.monotonic() - self._saved_at >= 60 * self._every_minutes

    def _agree(self, step: int, stop: bool, save: bool) -> tuple[bool, bool]:
        """The first process's decision at this step; nothing between two decisions."""
        if stop and not self._asked:
            self._asked = True
            self._store.key_value_set(f"{self._keys}/asked/stop", "", allow_overwrite=True)
        if self._next is not None and step < self._next:
            return False, False
        key = f"{self._keys}/{step}"
        if processes.is_first():
            stop = bool(self._store.key_value_dir_get(f"{self._keys}/asked"))
            self._store.key_value_set(key, f"{stop:d} {save:d} {step + self._steps_to_next(step)}")
            self._written.append(key)
            if len(self._written) > KEPT:
                self._store.key_value_delete(self._written.popleft())
        decision = self._store.blocking_key_value_get(key, PATIENCE)
        stopping, saving, self._next = (int(word) for word in decision.split())
        return bool(stopping), bool(saving)

    def _steps_to_next(self, step: int) -> int:
        """How many steps take PERIOD, at the pace since the last decision."""
        (before, at), now = self._decided, time.monotonic()
        steps = PERIOD * (step - before) / max(now - at, 1e-9)
        # At most twice the last gap: the first steps are only queued on the device, not taken.
        self._gap, self._decided = max(1, min(2 * self._gap, int(steps))), (step, now)
        return self._gap


@contextmanager
def signals() -> Iterator[list[int]]:
    """Collects SIGINT and SIGTERM in a list, empty until one arrives; a second one kills.

    Outside the main thread, where Python allows no handlers, the list stays empty.
    """
    received: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield received
        return

    def receive(number: int, frame: Any) -> None:
        received.append(number)
        signal.signal(number, before[number])

    # A handler that was not installed from Python reads as None and cannot be put back.
    before: dict[int, Any] = {
        number: signal.signal(number, receive) or signal.SIG_DFL
        for number in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        yield received
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
