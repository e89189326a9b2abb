"""Lays out the numbers of a plan, as a dict for JSON and as a page of text."""

from typing import Any

from jax_bt.plan import chips, hbm, hlo, loops
from jax_bt.plan.program import SIMULATED, Program
from jax_bt.train.memory import size
from jax_bt.train.run import Run

PyTree = Any


def memory(program: Program, state: PyTree, batch: PyTree, simulated: bool) -> dict[str, int]:
    """Bytes a device, by what they are for.

    Returns:
      parameters, optimizer, statistics (running ones), target (EMA copy, queue, bank), batch;
      temporaries: activations, gradients and workspace;
      program: the code;
      peak: the most in use at any time, all of the above; the CPU's compiler does not say, so that
        there it is ``allocated``;
      allocated: what the runtime sets aside, gaps between arrays included.
    """
    bytes_ = {
        "parameters": size(state.params),
        "optimizer": size(state.opt_state),
        "statistics": size(state.batch_stats),
        "target": size((state.target, state.bank)),
        "batch": size(batch),
    }
    if program.compiled is None:
        total = program.needed + sum(bytes_.values())
        needed = {"temporaries": program.needed, "program": 0}
        return bytes_ | needed | {"peak": total, "allocated": total}
    stats = program.compiled.memory_analysis()
    allocated = (
        stats.argument_size_in_bytes
        + stats.output_size_in_bytes
        - stats.alias_size_in_bytes  # the new state takes the old one's place
        + stats.temp_size_in_bytes
        + stats.generated_code_size_in_bytes
    )
    return bytes_ | {
        "temporaries": stats.temp_size_in_bytes,
        "program": stats.generated_code_size_in_bytes,
        "peak": allocated if simulated else stats.peak_memory_in_bytes,
        "allocated": allocated,
    }


def work(
    cost: dict[str, float], hlo_text: str, target: chips.Slice, simulated: bool
) -> dict[str, Any]:
    """What a device does in one step, and the least time that takes.

    Three rates bound a step: multiplying, moving bytes to and from the memory, sending them to
    other chips. Done at the same time, as XLA tries to, the slowest of them is the bound; their
    sum is given too, for none overlapping. The memory's share is that of the bytes moved to and
    from HBM. XLA's count of bytes accessed has what stays on the chip as well; it stands in where
    the program is a CPU's, which does not say what is where.

    Args:
      cost: ``compiled.cost_analysis()``.
      hlo_text: ``compiled.as_text()``.
      target: the slice, for its rates.
      simulated: whether it is a CPU's program.

    Returns:
      flops_per_device, bytes_moved_per_device (None if simulated), bytes_accessed_per_device,
      collective_bytes_per_device and collectives_per_step (by kind), bytes_sent_per_device,
      seconds (of each of the three), step_seconds_bound and step_seconds_without_overlap.
    """
    traffic = hlo.collectives(hlo_text, target.devices)
    products, accesses = loops.repeated(hlo_text)
    flops, accessed = products * cost["flops"], accesses * cost["bytes accessed"]
    moved = None if simulated else sum(hbm.moved(hlo_text))
    chip = chips.CHIPS[target.chip]
    seconds = {
        "compute": flops / (chip.flops / chip.devices),
        "memory": (accessed if moved is None else moved) / (chip.hbm_rate / chip.devices),
        "links": traffic.sent / (chip.link_rate / chip.devices),
    }
    return {
        "flops_per_device": flops,
        "bytes_moved_per_device": moved,
        "bytes_accessed_per_device": accessed,
        "collective_bytes_per_device": traffic.bytes,
        "collectives_per_step": traffic.count,
        "bytes_sent_per_device": traffic.sent,
        "seconds": seconds,
        "step_seconds_bound": max(seconds.values()),
        "step_seconds_without_overlap": sum(seconds.values()),
    }


def schedule(run: Run, chip_count: int, step_seconds: float) -> dict:
    """The whole run at a step time: images_per_second, hours, chip_hours."""
    hours = run.total_steps * step_seconds / 3600
    return {
        "total_steps": run.total_steps,
        "images_per_second": run.data.batch_size / step_seconds,
        "hours": hours,
        "chip_hours": hours * chip_count,
    }


def text(plan: dict[str, Any]) -> str:
    """A page for people."""
    chip = chips.CHIPS[plan["topology"].partition(":")[0]]
    have, kinds = plan["bytes_per_device"], plan["collective_bytes_per_device"]
    seconds, share = plan["seconds"], chip.devices
    parts = ("parameters", "optimizer", "batch", "activations", "temporaries")
    moved = [f"{k.replace('_', '-')} {_number(v)}B" for k, v in kinds.items() if v]
    slowest = max(seconds, key=seconds.get)
    in_hbm, accessed = plan["bytes_moved_per_device"], plan["bytes_accessed_per_device"]
    bytes_ = (
        f"{_number(accessed)}B accessed at {_number(chip.hbm_rate / share)}B/s (by XLA's count, "
        "on-chip memory included)"
        if in_hbm is None
        else f"{_number(in_hbm)}B to and from HBM at {_number(chip.hbm_rate / share)}B/s "
        f"({_number(accessed)}B accessed by XLA's count, on-chip memory included)"
    )
    lines = [
        f"{plan['method']}, batch {plan['batch_size']} on {plan['topology']}: "
        f"{_count(plan['chips'], 'chip')}, {_count(plan['devices'], 'device')}, "
        f"{_count(plan['batch_size'] // plan['devices'], 'image')} each",
        f"compiled   {plan['backend']}, {plan['effort']} effort, {plan['compile_seconds']:.0f} s",
        f"fits       {'yes' if plan['fits'] else 'NO'}: peak {_number(have['peak'])}B of "
        f"{_number(plan['hbm_bytes_per_device'])}B a device",
        "           " + ", ".join(f"{part} {_number(have[part])}B" for part in parts if have[part]),
        f"compute    {1e3 * seconds['compute']:8.2f} ms: {_number(plan['flops_per_device'])}FLOP "
        f"at {_number(chip.flops / share)}FLOP/s, bfloat16",
        f"memory     {1e3 * seconds['memory']:8.2f} ms: {bytes_}",
        f"links      {1e3 * seconds['links']:8.2f} ms: {_number(plan['bytes_sent_per_device'])}B "
        f"sent at {_number(chip.link_rate / share)}B/s ({', '.join(moved) or 'no collective'})",
        f"step       {1e3 * plan['step_seconds_bound']:8.2f} ms at least ({slowest}); "
        f"{1e3 * plan['step_seconds_without_overlap']:.2f} ms if nothing overlaps",
        f"schedule   {plan['total_steps']:,} steps at up to {plan['images_per_second']:,.0f} "
        f"images/s: {plan['hours']:.3g} hours, {plan['chip_hours']:.3g} chip-hours, at least",
    ]
    if plan["backend"] == SIMULATED:
        lines.append(
            "           a CPU's program: it computes bfloat16 in float32, fuses and reduces "
            "otherwise than a TPU's; pip install 'jax_bt[tpu]' for that one"
        )
    elif plan["costs_from"] == SIMULATED:
        lines.append(
            "           the TPU compiler gave up on the memory: work as of a CPU's program"
        )
    if not plan["fits"]:
        lines.append(
            "           use more chips, a smaller config.batch_size, config.encoder.remat=True or "
            "config.encoder.dtype=bfloat16"
        )
    return "\n".join(lines)


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'s' * (number != 1)}"


def _number(value: float) -> str:
    """Three digits and a decimal prefix: 5.9e9 is "5.90 G"."""
    for prefix in ("", "k", "M", "G", "T"):
        if value < 1000 or prefix == "T":
            return f"{value:.3g} {prefix}"
        value /= 1000
