"""A whole run: batches, steps, checkpoints, then what was learned. ConfigDict ends here."""

import functools
import pathlib
from typing import Any

import jax
import numpy as np
from ml_collections import ConfigDict

from jax_bt import checkpoint, data, finish, metrics, processes, watch, workdir
from jax_bt import mesh as meshes
from jax_bt import run as runs
from jax_bt.errors import Stopped
from jax_bt.train.monitor import Log
from jax_bt.train.stopping import Pace, signals


def train(
    config: ConfigDict, folder: pathlib.Path, *, allow_config_change: bool = False
) -> dict[str, Any]:
    """Trains, evaluates and reports; goes on where an earlier call in the folder stopped.

    Every process of a run calls this; the first one alone writes and evaluates.

    Args:
      config: fields of ``jax_bt.config.base``.
      folder: the run's folder (the workdir).
      allow_config_change: go on although the folder records another config.

    Returns:
      What ``summary.json`` holds; nothing on all but the first process.

    Raises:
      Stopped: after SIGINT or SIGTERM.
      Diverged: the loss or gradient is not finite; nothing of it is saved.
      ValueError, WorkdirError, CheckpointError: a user's mistake, in one line.
    """
    mesh = meshes.make_mesh()
    source = data.load(
        config.data.name, data_dir=config.data.data_dir, download=config.data.download
    )
    run = runs.build(config, source.size(config.data.train), mesh)
    step_function = runs.traced_step(run, config)
    first = processes.is_first()
    workdir.prepare(folder, config.to_dict(), write=first, allow_change=allow_config_change)
    done = workdir.summary(folder) if first else None
    if meshes.from_first_process(mesh, np.array(done is not None)):
        if first:
            print(f"this run is finished; its report: {finish.report_path(folder)}")
        return done or {}

    if first and not finish.can_evaluate(config, source):  # now, not after a week
        print(
            f"{config.data.name} has no labels or no split {config.data.test!r} (it has "
            f"{', '.join(source.splits)}): the run will not be evaluated"
        )
    keep = {"keep": config.checkpoint.keep, "keep_every": config.checkpoint.keep_every}
    with workdir.writing(folder), checkpoint.open(folder / "checkpoints", **keep) as manager:
        state = runs.init_state(run, config)
        untrained = jax.device_get(state.variables)  # for the report; the state itself is consumed
        state = checkpoint.restore(manager, state, mesh) or state
        start = int(state.step)
        if start and first:
            print(f"going on from the checkpoint of step {start}")
        state = _steps(run, config, source, folder, state, start, manager, step_function)
    if not first:
        return {}
    trained = jax.device_get(state.variables)
    with workdir.writing(folder):
        return finish.finish(run, config, source, folder, untrained=untrained, trained=trained)


def step_input(batch: dict[str, Any]) -> dict[str, Any]:
    """What the step takes of a batch; indices as 32 bits, which JAX has without x64."""
    return {"views": batch["views"], "index": batch["index"].astype(np.uint32)}


def _steps(run, config, source, folder, state, start, manager, step_function):
    """The loop: every step from ``start`` on; returns the last state, saved."""
    batches = data.batches(
        source,
        config.data.train,
        global_batch=config.batch_size,
        seed=config.seed,
        recipes=run.recipes,
        start_step=start,
        process_index=jax.process_index(),
        process_count=jax.process_count(),
        host_only=config.data.device_augment,
    )
    size = config.batch_size
    writer = metrics.Writer(
        folder, run.total_steps, start, batch_size=size, active=processes.is_first()
    )
    with signals() as received, writer:
        log = Log(
            writer,
            run.rates,
            config.log_every,
            run.total_steps,
            skip_limit=config.skip_nonfinite,
            last_good=lambda: checkpoint.newest_step(manager),
            verdict=functools.partial(watch.verdict, method=run.method),
        )
        pace = Pace(run.mesh, config.checkpoint.every_steps, config.checkpoint.every_minutes)
        for step in range(start, run.total_steps):
            batch = step_input(next(batches)) | pace.ballot(bool(received))
            state, terms = step_function(state, meshes.to_global(run.mesh, batch))
            stop, save = pace.decide(step, terms, stop=bool(received))
            log.add(step, terms)
            last = step + 1 == run.total_steps
            if stop or last or save:
                log.drain()  # raises before anything that is not finite is saved
                checkpoint.save(manager, state)
            if stop and not last:
                checkpoint.wait(manager)
                raise Stopped(f"saved step {step + 1} of {run.total_steps} in {folder}")
        checkpoint.wait(manager)
    return state
