"""Writes a trace of a few steps, which TensorBoard and Perfetto show."""

import contextlib
from collections.abc import Callable, Iterator

import jax
from etils import epath

FIRST, COUNT = 10, 5  # steps after the start: what is compiled late is compiled, the input settled


@contextlib.contextmanager
def tracing(folder: epath.Path, start: int, end: int) -> Iterator[Callable[[int], None]]:
    """Traces COUNT steps of the block, from FIRST steps after its start, or the last COUNT of few.

    Args:
      folder: local; gets ``plugins/profile/<time>``, where TensorBoard's profile plugin looks.
      start: the first step of the block.
      end: the step after its last one.

    Yields:
      What is to be called before each step with its number.
    """
    first = start + min(FIRST, max(0, end - start - COUNT))
    running = False

    def before(step: int) -> None:
        nonlocal running
        if step == first:
            jax.profiler.start_trace(str(folder))
            running = True
        elif running and step == first + COUNT:
            stop()

    def stop() -> None:
        nonlocal running
        running = False
        jax.profiler.stop_trace()
        print(f"trace of {COUNT} steps: tensorboard --logdir={folder}, page Profile", flush=True)

    try:
        yield before
    finally:
        if running:
            stop()
