"""A whole run: batches, steps, checkpoints, then what was learned. ConfigDict ends here."""

import pathlib
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import jax
from ml_collections import ConfigDict

from jax_bt import checkpoint, data, finish, metrics, workdir
from jax_bt import mesh as meshes
from jax_bt import run as runs
from jax_bt.errors import Stopped
from jax_bt.log import Log


def train(
    config: ConfigDict, folder: pathlib.Path, *, allow_config_change: bool = False
) -> dict[str, Any]:
    """Trains, evaluates and reports; goes on where an earlier call in the folder stopped.

    Args:
      config: fields of ``jax_bt.config.base``.
      folder: the run's folder (the workdir).
      allow_config_change: go on although the folder records another config.

    Returns:
      What ``summary.json`` holds.

    Raises:
      Stopped: after SIGINT or SIGTERM.
      Diverged: the loss or gradient is not finite; nothing of it is saved.
      ValueError, WorkdirError, CheckpointError: a user's mistake, in one line.
    """
    mesh = meshes.make_mesh()
    source = data.load(config.data.name, data_dir=config.data.data_dir)
    run = runs.build(config, source, mesh)
    main_process = jax.process_index() == 0
    workdir.prepare(folder, config.to_dict(), write=main_process, allow_change=allow_config_change)
    if done := workdir.summary(folder):
        print(f"this run is finished; its report: {finish.report_path(folder)}")
        return done

    manager = checkpoint.open(folder / "checkpoints", keep=config.checkpoint.keep)
    state = runs.init_state(run, config)
    untrained = jax.device_get(state.variables)  # for the report; the state itself is consumed
    state = checkpoint.restore(manager, state) or state
    start = int(state.step)
    if start:
        print(f"going on from the checkpoint of step {start}")
    step_function = runs.train_step(run, config)
    batches = data.batches(
        source,
        config.data.train,
        global_batch=config.batch_size,
        seed=config.seed,
        recipes=run.recipes,
        start_step=start,
        process_index=jax.process_index(),
        process_count=jax.process_count(),
    )

    writer = metrics.Writer(
        folder, run.total_steps, start, batch_size=config.batch_size, active=main_process
    )
    with signals() as stop, writer:
        log = Log(writer, run.rates, config.log_every, run.total_steps)
        for step in range(start, run.total_steps):
            batch = meshes.to_global(mesh, {"views": next(batches)["views"]})
            state, terms = step_function(state, batch)
            log.add(step, terms)
            last = step + 1 == run.total_steps
            if stop or last or (step + 1) % config.checkpoint.every_steps == 0:
                log.drain()  # raises before anything that is not finite is saved
                checkpoint.save(manager, state)
            if stop:
                break
        checkpoint.wait(manager)
    if stop and not last:
        raise Stopped(f"saved step {step + 1} of {run.total_steps} in {folder}")
    return finish.finish(
        run,
        config,
        source,
        folder,
        untrained=untrained,
        trained=jax.device_get(state.variables),
    )


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
