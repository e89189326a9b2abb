"""Runs a config in a folder: steps and checkpoints, then the evaluation and the report."""

import contextlib
import os
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np
from etils import epath
from ml_collections import ConfigDict

from jax_bt import config, data
from jax_bt.data import Source
from jax_bt.devices import processes
from jax_bt.devices.mesh import from_first_process, make_mesh, to_global
from jax_bt.errors import Stopped, UsageError
from jax_bt.train import checkpoint, evaluation, initial, levels, pairs, speed, workdir
from jax_bt.train.build import build, read_data
from jax_bt.train.memory import check_fits
from jax_bt.train.monitor import Monitor
from jax_bt.train.profile import tracing
from jax_bt.train.run import Run
from jax_bt.train.state import TrainState
from jax_bt.train.stopping import Stopping, signals
from jax_bt.train.workdir import Status
from jax_bt.train.writer import Writer


def train(
    c: ConfigDict,
    folder: str | os.PathLike[str],
    *,
    images: Source | Mapping[str, Any] | np.ndarray | None = None,
    allow_config_change: bool = False,
    profile: bool = False,
) -> dict[str, Any]:
    """Trains, evaluates and reports; goes on where an earlier call in the folder stopped.

    Every process of a run calls this; the first one alone writes.

    Args:
      c: fields of ``jax_bt.config.FIELDS`` and the options of the method.
      folder: the run's folder (the workdir).
      images: data in memory, in place of the data set that the config names.
      allow_config_change: go on although config or data differ from what the folder records.
      profile: write a trace of a few steps beside the TensorBoard events.

    Returns:
      What ``summary.json`` holds; nothing on all but the first process.

    Raises:
      Stopped: after SIGINT or SIGTERM.
      Diverged: the loss or gradient is not finite; no such state is saved.
      UsageError, DataError, WorkdirError, CheckpointError: a user's mistake, in one line.
    """
    reads = read_data(c)
    mesh, first = make_mesh(), processes.is_first()
    source = data.load(
        reads.name if images is None else images,
        data_dir=reads.data_dir,
        download=reads.download,
    )
    source = data.prepared(source, reads.recipes, reads.train)
    classes = source.num_classes if source.has_labels(reads.train) else None
    if source.several:  # the classifier beside the encoder takes one class per example
        classes = None
    shape = {"channels": source.channels, "classes": classes, **source.facts}
    run = build(c, mesh, train_size=source.size(reads.train), **shape)
    identity = {**source.fingerprint(reads.train), **shape}
    check_fits(run.abstract()[0], mesh)
    evaluation.check(run, source)
    pairs.check(run, source)
    terms = run.trace()  # before the folder records a config that cannot be traced
    folder = workdir.path(folder)
    if profile and workdir.remote(folder):
        raise UsageError("--profile writes to a local folder: choose another --workdir")
    holding = workdir.held(folder) if first else contextlib.nullcontext()
    with holding, workdir.writing(folder):
        status = Status.FRESH
        if first:
            status = workdir.prepare(
                folder,
                run.record,
                total_steps=run.total_steps,
                data=identity,
                reached=max(checkpoint.steps(folder / "checkpoints"), default=0),
                defaults=config.base(c.method).to_dict(),
                allow_change=allow_config_change,
            )
        status = Status(int(from_first_process(mesh, np.array(status, np.int32))))
        if status == Status.FINISHED:
            if first:
                print(f"this run is finished; its report: {folder / 'report' / 'index.html'}")
            return (workdir.summary(folder) or {}) if first else {}
        if first:
            for name, text in source.kept.items():
                workdir.write_whole(folder / name, text)
            print(source.describe())
            reason = evaluation.why_not(run, source)
            if reason and not run.evaluation.pairs:  # now, not after a week
                print(f"the run will not be evaluated: {reason}")
        compared = levels.levels(run) if first else {}
        if compared:
            print(levels.text(compared, run))
        untrained, state = _steps(run, source, folder, profile and first)
        stages = {"untrained": untrained, "trained": state.variables}
        evaluated = evaluation.features(run, source, stages)
        if not first:
            return {}
        from jax_bt.train.finish import finish  # matplotlib: the first step need not wait for it

        return finish(
            run,
            source,
            folder,
            terms=terms,
            levels=compared,
            stages=jax.device_get(stages),
            features=evaluated,
        )


def _steps(run: Run, source: Source, folder: epath.Path, profile: bool) -> tuple[Any, TrainState]:
    """Takes all steps that are left; returns the variables of step 0 and the last state, saved."""
    keep = {"keep": run.checkpoints.keep, "keep_every": run.checkpoints.keep_every}
    with checkpoint.opened(folder / "checkpoints", **keep) as manager:
        state = initial.start(run)
        untrained = jax.device_get(state.variables)  # for the report; the state itself is consumed
        state = checkpoint.restore(manager, state, run.mesh) or state
        start = int(state.step)
        if start and processes.is_first():
            print(f"going on from the checkpoint of step {start}")
        batches = data.batches(
            source,
            run.data.train,
            global_batch=run.data.batch_size,
            seed=run.data.seed,
            recipes=run.data.recipes,
            start_step=start,
            host_only=run.data.on_device,
            places=run.method.places,
            **processes.share(),
        )
        stopping = Stopping(
            every_steps=run.checkpoints.every_steps, every_minutes=run.checkpoints.every_minutes
        )
        writer = Writer(
            folder,
            run.total_steps,
            start,
            batch_size=run.data.batch_size,
            peak_rate=speed.peak_rate(run) if processes.is_first() else None,
            active=processes.is_first(),
        )
        traced = contextlib.nullcontext(lambda step: None)
        if profile:
            traced = tracing(folder / "tensorboard", start, run.total_steps)
        with signals() as received, writer, traced as before:
            monitor = Monitor(
                writer,
                run.rates,
                every=run.log_every,
                total_steps=run.total_steps,
                skip_limit=run.skip_nonfinite,
                least_scale=run.method.least_scale,
                last_good=lambda: checkpoint.newest_step(manager),
            )
            for step in range(start, run.total_steps):
                before(step)
                with writer.waiting():
                    loaded = next(batches)
                batch = to_global(run.mesh, step_input(run, loaded))
                if step % run.steps_per_epoch == 0:
                    state = run.start_epoch(state)
                with jax.transfer_guard(
                    "disallow"
                ):  # nothing else may travel between host and device
                    state, metrics = run.train_step(state, batch)
                evaluated = {}
                if run.evaluate_every and (step + 1) % run.evaluate_every == 0:
                    with writer.saving():
                        evaluated = evaluation.while_training(run, source, state)
                monitor.add(step, metrics, evaluated)
                stop, save = stopping.after(step, received)
                last = step + 1 == run.total_steps
                if stop or last or save:
                    monitor.drain()  # raises before anything that is not finite is saved
                    with writer.saving():
                        checkpoint.save(manager, state)
                if stop and not last:
                    raise Stopped(f"saved step {step + 1} of {run.total_steps} in {folder}")
    return untrained, state


def step_input(run: Run, batch: dict[str, Any]) -> dict[str, Any]:
    """What the step takes of a batch; indices as 32 bits, which JAX has without x64."""
    names = {"views", "places"} if run.classes is None else {"views", "places", "label"}
    taken = {name: batch[name] for name in names & batch.keys()}
    return taken | {"index": batch["index"].astype(np.uint32)}
