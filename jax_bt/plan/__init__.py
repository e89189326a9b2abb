"""Compiles a run for a TPU slice on a machine without one: memory, work, traffic, time, cost."""

import json
import os
import pathlib
from typing import Any

import jax
from ml_collections import ConfigDict

from jax_bt.devices.mesh import make_mesh
from jax_bt.errors import UsageError
from jax_bt.plan import chips, hlo, program, report, sizes
from jax_bt.plan.report import text
from jax_bt.train.build import build, read_data


def plan(
    config: ConfigDict,
    topology: str,
    *,
    train_size: int | None = None,
    effort: str = "low",
    backend: str = "auto",
) -> dict[str, Any]:
    """Compiles the training step for a slice and says what a step and the whole run need.

    The step is the one that training runs, without the signals of collapse that one step in
    ``diagnostics_every`` computes, compiled from shapes alone: neither data nor an accelerator is
    touched. With libtpu it is the TPU's own program; without, the CPU's for as many simulated
    devices, whose memory and traffic only resemble it.

    Args:
      config: fields of ``jax_bt.config.base``.
      topology: such as ``v5e:4x8``.
      train_size: number of training examples; None to look it up.
      effort: "low" compiles several times as fast, "normal" is what training compiles with.
      backend: "auto" (TPU where libtpu is installed), "tpu" or "cpu".

    Returns:
      What ``plan.json`` holds: docs/plan.md lists it.

    Raises:
      UsageError: a topology that does not exist, a batch that does not divide, an unknown size.
    """
    target = chips.parse(topology)
    kind = program.backend(backend)
    if effort not in program.EFFORTS:
        raise UsageError(f"--effort={effort}: it is {' or '.join(program.EFFORTS)}")
    size = sizes.train_size(read_data(config), train_size)
    # XLA's count of the work would take them for a part of every step.
    config = config.copy_and_resolve_references()
    config.diagnostics_every = 0
    # Also where there is an accelerator: it is not needed, and somebody may be training on it.
    jax.config.update("jax_platforms", "cpu")
    program.simulate(target.devices)  # also for a TPU's program: see below, where it does not fit
    run, state, batch, made = _compile(config, size, target, kind, effort)
    bytes_ = report.memory(made, state, batch, kind == program.SIMULATED)
    compiled, seconds, costs_from = made.compiled, made.seconds, kind
    if compiled is None:  # the compiler gave up on the memory, but the work is worth knowing
        costs_from = program.SIMULATED
        _, _, _, again = _compile(config, size, target, costs_from, effort)
        compiled, seconds = again.compiled, seconds + again.seconds
    hlo_text = compiled.as_text()
    bytes_["activations"] = hlo.activations(hlo_text) if made.compiled else None
    costs = report.work(compiled.cost_analysis(), hlo_text, target, costs_from == program.SIMULATED)
    hbm = chips.CHIPS[target.chip].hbm_bytes // chips.CHIPS[target.chip].devices
    return {
        "method": config.method,
        "topology": target.name,
        "backend": kind,
        "costs_from": costs_from,
        "effort": effort,
        "jax": jax.__version__,
        "chips": target.chips,
        "devices": target.devices,
        "batch_size": config.batch_size,
        "train_size": size,
        "fits": made.compiled is not None and max(bytes_["peak"], bytes_["allocated"]) <= hbm,
        "hbm_bytes_per_device": hbm,
        "bytes_per_device": bytes_,
        **costs,
        **report.schedule(run, target.chips, costs["step_seconds_bound"]),
        "compile_seconds": seconds,
    }


def write(plan: dict[str, Any], path: str | os.PathLike[str]) -> None:
    """Saves a plan as JSON."""
    pathlib.Path(path).write_text(json.dumps(plan, indent=1) + "\n")


def check_output(path: str | os.PathLike[str]) -> None:
    """Raises UsageError if nothing can be saved there: better now than after minutes."""
    path = pathlib.Path(path)
    if path.suffix != ".json" or not path.parent.is_dir():
        raise UsageError(f"--output={path}: give a .json file in a folder that exists")


def _compile(config: ConfigDict, size: int, target: chips.Slice, kind: str, effort: str):
    run = build(config, make_mesh(program.devices(target, kind)), train_size=size)
    state, batch = run.abstract()
    what = "a TPU" if kind == "tpu" else "simulated CPU devices"
    with program.ticking(f"compiling the step for {target.name} with {what}; minutes at full size"):
        made = program.make(run, state, batch, effort)
    return run, state, batch, made


__all__ = ["check_output", "plan", "text", "write"]
