"""When a run saves and stops: decisions that all its processes take at the same step."""

import signal
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import jax
import numpy as np
from jax import Array
from jax.sharding import Mesh

AHEAD = 2


class Pace:
    """Says at every step what is to be done after it.

    A signal may reach one process only, and clocks differ: so the batch of every step carries a
    vote of each process, the step itself counts them, and all read the result AHEAD steps later,
    when it has long been computed. (A second program with a collective operation of its own could
    meet the step's in another order on another process, and both would wait for ever.) A process by
    itself acts at once.

    Args:
      mesh: the mesh of all devices.
      every_steps: save after steps that are multiples of it; 0 for the clock alone.
      every_minutes: save so long after the last time, by the first process's clock; None for
        steps alone.
    """

    def __init__(self, mesh: Mesh, every_steps: int, every_minutes: float | None):
        self._devices = len(mesh.local_devices)
        self._every_steps, self._every_minutes = every_steps, every_minutes
        self._several = jax.process_count() > 1
        self._counted: deque[Any] = deque()
        self._saved_at = time.monotonic()

    def ballot(self, stop: bool) -> dict[str, np.ndarray]:
        """What a step's batch holds beside its examples: with several processes, their votes.

        Args:
          stop: whether this process was asked to stop.
        """
        if not self._several:
            return {}
        return {"votes": np.tile((stop, self._late()), (self._devices, 1))}

    def decide(self, step: int, terms: dict[str, Array], *, stop: bool) -> tuple[bool, bool]:
        """Whether to stop after this step, and whether to save; alike on every process.

        Args:
          step: just taken, from 0.
          terms: what the step yields; "votes", where there are any, is taken out.
          stop: as in ``ballot``.
        """
        save = False
        if self._several:
            self._counted.append(terms.pop("votes"))
            stop = False
            if len(self._counted) > AHEAD:
                stop, save = (bool(vote) for vote in np.asarray(self._counted.popleft()))
        else:
            save = self._late()
        save = save or bool(self._every_steps) and (step + 1) % self._every_steps == 0
        if save:
            self._saved_at = time.monotonic()
        return stop, save

    def _late(self) -> bool:
        """Whether the first process has not saved for so many minutes."""
        if not self._every_minutes or jax.process_index() > 0:
            return False
        return time.monotonic() - self._saved_at >= 60 * self._every_minutes


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
