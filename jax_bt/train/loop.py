"""A whole run: batches, steps, checkpoints, then what was learned."""

import os
import pathlib
from typing import Any

import jax
import numpy as np
from ml_collections import ConfigDict

from jax_bt import data
from jax_bt.data import Source
from jax_bt.devices import processes
from jax_bt.devices.mesh import from_first_process, make_mesh, to_global
from jax_bt.errors import Stopped
from jax_bt.train import checkpoint, evaluation, stopping, workdir
from jax_bt.train.build import Run, build, read_data
from jax_bt.train.finish import finish
from jax_bt.train.memory import check_fits
from jax_bt.train.monitor import Monitor
from jax_bt.train.state import TrainState
from jax_bt.train.writer import Writer


def train(
    config: ConfigDict, folder: str | os.PathLike[str], *, allow_config_change: bool = False
) -> dict[str, Any]:
    """Trains, evaluates and reports; goes on where an earlier call in the folder stopped.

    Every process of a run calls this; the first one alone writes and evaluates.

    Args:
      config: fields of ``jax_bt.config.FIELDS`` and the options of the method.
      folder: the run's folder (the workdir).
      allow_config_change: go on although the folder records another config.

    Returns:
      What ``summary.json`` holds; nothing on all but the first process.

    Raises:
      Stopped: after SIGINT or SIGTERM.
      Diverged: the loss or gradient is not finite; no such state is saved.
      UsageError, DataError, WorkdirError, CheckpointError: a user's mistake, in one line.
    """
    mesh = make_mesh()
    reads = read_data(config)
    source = data.load(reads.name, data_dir=reads.data_dir, download=reads.download)
    run = build(config, mesh, train_size=source.size(reads.train))
    check_fits(run.abstract()[0], mesh)
    evaluation.check(run, source)
    terms = run.trace()
    folder = pathlib.Path(folder)
    first = processes.is_first()
    workdir.prepare(folder, run.record, write=first, allow_change=allow_config_change)
    done = workdir.summary(folder) if first else None
    if from_first_process(mesh, np.array(done is not None)):
        if first:
            print(f"this run is finished; its report: {folder / 'report' / 'index.html'}")
        return done or {}
    if first and (reason := evaluation.why_not(run, source)):  # now, not after a week
        print(f"the run will not be evaluated: {reason}")

    keep = {"keep": run.checkpoints.keep, "keep_every": run.checkpoints.keep_every}
    with workdir.writing(folder), checkpoint.open(folder / "checkpoints", **keep) as manager:
        state = run.init_state()
        untrained = jax.device_get(state.variables)  # for the report; the state itself is consumed
        state = checkpoint.restore(manager, state, mesh) or state
        if first and int(state.step):
            print(f"going on from the checkpoint of step {int(state.step)}")
        state = _steps(run, source, folder, state, manager)
    if not first:
        return {}
    trained = jax.device_get(state.variables)
    with workdir.writing(folder):
        return finish(run, source, folder, terms=terms, untrained=untrained, trained=trained)


def step_input(batch: dict[str, Any]) -> dict[str, Any]:
    """What the step takes of a batch; indices as 32 bits, which JAX has without x64."""
    return {"views": batch["views"], "index": batch["index"].astype(np.uint32)}


def _steps(
    run: Run,
    source: Source,
    folder: pathlib.Path,
    state: TrainState,
    manager: checkpoint.Manager | None,
) -> TrainState:
    """Takes every step from the state's on; returns the last state, saved."""
    start = int(state.step)
    batches = data.batches(
        source,
        run.data.train,
        global_batch=run.data.batch_size,
        seed=run.data.seed,
        recipes=run.data.recipes,
        start_step=start,
        process_index=jax.process_index(),
        process_count=jax.process_count(),
        host_only=run.data.on_device,
    )
    writer = Writer(
        folder,
        run.total_steps,
        start,
        batch_size=run.data.batch_size,
        active=processes.is_first(),
    )
    with stopping.signals() as received, writer:
        monitor = Monitor(
            writer,
            run.rates,
            every=run.log_every,
            total_steps=run.total_steps,
            skip_limit=run.skip_nonfinite,
            least_scale=run.method.least_scale,
            last_good=lambda: checkpoint.newest_step(manager),
        )
        pace = stopping.Pace(run.mesh, run.checkpoints.every_steps, run.checkpoints.every_minutes)
        for step in range(start, run.total_steps):
            batch = to_global(run.mesh, step_input(next(batches)))
            state, metrics = run.train_step(state, batch)
            monitor.add(step, metrics)
            stop, save = pace.decide(step, {}, stop=bool(received))
            last = step + 1 == run.total_steps
            if stop or last or save:
                monitor.drain()  # raises before anything that is not finite is saved
                checkpoint.save(manager, state)
            if stop and not last:
                checkpoint.wait(manager)
                raise Stopped(f"saved step {step + 1} of {run.total_steps} in {folder}")
        checkpoint.wait(manager)
    return state
