"""Compiles the training step for devices that are not there."""

import importlib.util
import os
import re
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import jax
from jax.experimental import topologies
from jax.experimental.compilation_cache import compilation_cache

from jax_bt.errors import UsageError
from jax_bt.plan import chips
from jax_bt.train.run import Run

PyTree = Any
SIMULATED = "cpu (simulated)"
# The level of XLA's optimisation of time and of memory: None leaves jax's own.
EFFORTS = {"low": "O0", "normal": None}


class Program(NamedTuple):
    """One compilation.

    Attributes:
      compiled: what jax's ``Lowered.compile`` returns; None if the compiler found that it does not
        fit the memory.
      needed: bytes of temporaries the compiler asked for where it does not fit, else None.
      seconds: the compilation alone took, without tracing.
    """

    compiled: Any
    needed: int | None
    seconds: float


def backend(asked: str) -> str:
    """What compiles here: "tpu" or "cpu (simulated)".

    Args:
      asked: "auto" (TPU where libtpu is installed), "tpu" or "cpu".

    Raises:
      UsageError: "tpu" without libtpu, or another word.
    """
    if asked not in ("auto", "tpu", "cpu"):
        raise UsageError(f"--backend={asked}: it is auto, tpu or cpu")
    found = importlib.util.find_spec("libtpu") is not None
    if asked == "tpu" and not found:
        raise UsageError("--backend=tpu needs libtpu: pip install 'jax_bt[tpu]'")
    return "tpu" if found and asked != "cpu" else SIMULATED


def simulate(count: int) -> None:
    """Has the CPU pose as at least so many devices, if jax has not started yet."""
    try:
        jax.config.update("jax_num_cpu_devices", max(count, jax.config.jax_num_cpu_devices))
    except RuntimeError:  # it has: those there are have to do
        pass


def devices(target: chips.Slice, kind: str) -> list[jax.Device]:
    """The devices of a slice: described by libtpu, or as many simulated ones of the CPU.

    Raises:
      UsageError: jax has started with fewer simulated devices, as it settles that only once; or
        libtpu does not know the slice.
    """
    if kind == SIMULATED:
        if (count := len(jax.devices("cpu"))) < target.devices:
            raise UsageError(
                f"jax runs with {count} CPU devices and {target.name} has {target.devices}: plan "
                f"in a process of its own, or start it with JAX_NUM_CPU_DEVICES={target.devices}"
            )
        return jax.devices("cpu")[: target.devices]
    # No metadata server to ask, nor other hosts: without these libtpu waits, then complains.
    os.environ.setdefault("TPU_SKIP_MDS_QUERY", "1")
    os.environ.setdefault("TPU_WORKER_HOSTNAMES", "localhost")
    os.environ.setdefault("TPU_ACCELERATOR_TYPE", "v5litepod-8")
    os.environ.setdefault("ALLOW_MULTIPLE_LIBTPU_LOAD", "1")  # several plans at a time
    options = {}
    if target.chips == 1:
        options["chips_per_host_bounds"] = (1, 1, 1)  # 2x2x1 otherwise
    if target.chip == "v4":
        options["chip_config_name"] = "megacore"  # both cores as one device, as Cloud TPU has them
    try:
        described = topologies.get_topology_desc(target.name, platform="tpu", **options)
    except jax.errors.JaxRuntimeError as error:
        said = str(error).splitlines()[0]
        raise UsageError(
            f"libtpu cannot describe {target.name}: {said}; --backend=cpu plans without it"
        ) from error
    return list(described.devices)


def make(run: Run, state: PyTree, batch: PyTree, effort: str) -> Program:
    """Compiles the step of a run from shapes alone."""
    lowered = run.train_step.lower(state, batch)
    start = time.perf_counter()
    try:
        with _effort(effort), _uncached(run):
            compiled, needed = lowered.compile(), None
    except jax.errors.JaxRuntimeError as error:
        compiled, needed = None, out_of_memory(str(error))
        if needed is None:
            raise
    return Program(compiled, needed, time.perf_counter() - start)


def out_of_memory(message: str) -> int | None:
    """Bytes that a TPU compiler says it needs when they are too many; None for another message."""
    if "RESOURCE_EXHAUSTED" not in message:
        return None
    found = re.search(r"temporaries \(([\d.]+)([KMG])\)|Used ([\d.]+)([KMG]) of", message)
    if found is None:
        return None
    number, unit = [group for group in found.groups() if group]
    return int(float(number) * 1024 ** (1 + "KMG".index(unit)))


@contextmanager
def _effort(name: str) -> Iterator[None]:
    """Sets how hard XLA tries, for what is compiled inside."""
    options = ("jax_optimization_level", "jax_memory_fitting_level")
    before = {option: getattr(jax.config, option) for option in options}
    try:
        for option in options:
            jax.config.update(option, EFFORTS[name] or before[option])
        yield
    finally:
        for option, value in before.items():
            jax.config.update(option, value)


@contextmanager
def _uncached(run: Run) -> Iterator[None]:
    """Keeps a TPU's program out of jax's cache on disk, which cannot give it back without one."""
    before = jax.config.jax_enable_compilation_cache
    try:
        if run.mesh.devices.flat[0].platform == "tpu":
            jax.config.update("jax_enable_compilation_cache", False)
        compilation_cache.reset_cache()  # jax looks at the option only once
        yield
    finally:
        jax.config.update("jax_enable_compilation_cache", before)
        compilation_cache.reset_cache()


@contextmanager
def ticking(what: str) -> Iterator[None]:
    """Says on standard error what is going on and, on a terminal, for how long it has been."""
    done, start = threading.Event(), time.perf_counter()
    print(f"{what} ...", file=sys.stderr, flush=True)

    def tick() -> None:
        while not done.wait(1.0):
            print(f"\r  {time.perf_counter() - start:.0f} s", end="", file=sys.stderr, flush=True)

    thread = threading.Thread(target=tick, daemon=True)
    if sys.stderr.isatty():
        thread.start()
    try:
        yield
    finally:
        done.set()
        if thread.is_alive():
            thread.join()
        print(f"\r  {time.perf_counter() - start:.0f} s", file=sys.stderr, flush=True)
