"""When a run saves and stops: decisions that all its processes take at the same step."""

import signal
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import jax
from jax.sharding import Mesh

from jax_bt import mesh as meshes
from jax_bt.log import AHEAD


class Pace:
    """Asks at every step what is to be done after it.

    A signal may reach one process only, and clocks differ: so each step carries a vote of every
    process, and all read its result AHEAD steps later, when it has long been computed. A process
    by itself acts at once.

    Args:
      mesh: the mesh of all devices.
      every_steps: save after steps that are multiples of it; None for the clock alone.
      every_minutes: save so long after the last time, by the first process's clock; None for
        steps alone.
    """

    def __init__(self, mesh: Mesh, every_steps: int | None, every_minutes: float | None):
        self._mesh, self._every_steps, self._every_minutes = mesh, every_steps, every_minutes
        self._votes: deque[Any] = deque()
        self._lag = AHEAD if jax.process_count() > 1 else 0
        self._saved_at = time.monotonic()

    def decide(self, step: int, *, stop: bool) -> tuple[bool, bool]:
        """Whether to stop after this step, and whether to save; alike on every process.

        Args:
          step: just taken, from 0.
          stop: whether this process was asked to stop.
        """
        late = False
        if self._every_minutes and jax.process_index() == 0:
            late = time.monotonic() - self._saved_at >= 60 * self._every_minutes
        self._votes.append(meshes.any_process(self._mesh, (stop, late)))
        stop = save = False
        if len(self._votes) > self._lag:
            stop, save = (bool(flag) for flag in self._votes.popleft())
        save = save or bool(self._every_steps) and (step + 1) % self._every_steps == 0
        if save:
            self._saved_at = time.monotonic()
        return stop, save


@contextmanager
def signals() -> Iterator[list[int]]:
    """Collects SIGINT and SIGTERM in a list, empty until one arrives; a second one kills."""
    received: list[int] = []

    def receive(number: int, frame: Any) -> None:
        received.append(number)
        signal.signal(number, before[number])

    before = {n: signal.signal(n, receive) for n in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield received
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
