"""Starts the processes of a run together, watches them, and ends them together.

With one process on one machine nothing is started, and every function does nothing.
"""

import contextlib
import os
import sys
import threading
import time
import traceback
from typing import Any, NoReturn

import jax

from jax_bt.errors import ProcessLost, UsageError

# Keys of the run's store: signs of life, the first failure, who has read it, the end.
BEAT, FAILED, HEARD, DONE = "jax_bt/beat", "jax_bt/failed", "jax_bt/heard", "jax_bt/done"
PAUSE = 1.0  # seconds between two reads of the store
AGAIN = "Start all processes again; they go on from the last checkpoint"
START_SECONDS = 300  # time in which the processes of a run must find each other
HEARING_SECONDS = 15  # time in which busy machines read the reason of a failure

_ended = threading.Event()


def start(
    coordinator: str | None = None,
    num_processes: int | None = None,
    process_id: int | None = None,
    *,
    lost_after: float = 60.0,
) -> None:
    """Joins the processes of a run; call it before anything asks JAX for a device.

    JAX recognises Open MPI, SLURM, Cloud TPU, GKE and indexed Kubernetes jobs. On a single machine,
    or in an allocation with one task, no distributed runtime is started.

    Args:
      coordinator: "host:port" on which process 0 listens; None: ask the cluster.
      num_processes: number of processes of the run; None: ask the cluster; 1: do not ask.
      process_id: number of this process, from 0; None: ask the cluster.
      lost_after: seconds without a sign of life after which a process counts as lost and all
        others end.

    Raises:
      UsageError: the flags contradict each other. If the processes do not meet within
        START_SECONDS, each prints one line and exits with ProcessLost's exit code.
    """
    given = [value is not None for value in (coordinator, num_processes, process_id)]
    if num_processes == 1 or not any(given) and _alone():
        return
    if any(given) and not all(given):
        raise UsageError(
            "--coordinator=HOST:PORT, --num_processes and --process_id go together: pass all three "
            "(or none on SLURM, Open MPI, Cloud TPU and GKE, where JAX finds them)"
        )
    if coordinator is not None and not coordinator.rpartition(":")[2].isdigit():
        raise UsageError(f"--coordinator={coordinator} has no port: write HOST:PORT")
    # train/stopping.py agrees on a stop by itself. JAX's service knows SIGTERM alone, and works
    # only while no Python handler is installed for it.
    jax.config.update("jax_enable_preemption_service", False)
    # On CPUs all programs in flight share a few threads: a program that waits for another process
    # could block the program that the other process waits for. GPUs and TPUs ignore this setting.
    jax.config.update("jax_cpu_enable_async_dispatch", False)
    late = threading.Timer(START_SECONDS, _late)  # before JAX aborts the process with a dump
    late.start()
    try:
        jax.distributed.initialize(
            coordinator,
            num_processes,
            process_id,
            cluster_detection_method="deactivate" if all(given) else None,
            initialization_timeout=START_SECONDS + 60,
            # _watch notices first and prints the reason; JAX's own heartbeat is the second net.
            heartbeat_timeout_seconds=round(2 * lost_after),
        )
    except ValueError as error:
        if not any(given) and "coordinator_address should be defined" in str(error):
            return  # no cluster here
        raise UsageError(f"the processes of this run do not fit together: {error}") from error
    except RuntimeError:
        if any(given):
            raise
        return  # another program in this process uses the devices already: one process
    finally:
        late.cancel()
    if several():
        threading.Thread(target=_watch, args=(lost_after,), daemon=True).start()


def _state() -> Any:
    """JAX's record of the run's processes; its store of keys and values has no public name."""
    from jax._src import distributed

    return distributed.global_state


def several() -> bool:
    """Whether this run has more than one process."""
    # jax.process_count() would start the devices, even where this is asked because they failed.
    return jax.distributed.is_initialized() and _state().num_processes > 1


def share() -> dict[str, int]:
    """Which share of the examples is this process's, as ``data.batches`` and ``examples`` want."""
    return {"process_index": jax.process_index(), "process_count": jax.process_count()}


def is_first() -> bool:
    """Whether this is the process that writes the log, the checkpoints and the report."""
    return jax.process_index() == 0


def store() -> Any:
    """The store of keys and values that all processes of the run share; None for one process."""
    return _state().client if several() else None


def finish(exit_code: int) -> None:
    """Waits for all processes of the run (the first one evaluates last), and exits."""
    if not jax.distributed.is_initialized():
        return
    client = _state().client
    if is_first():
        client.key_value_set(f"{DONE}/first", "")
    while not client.key_value_dir_get(DONE):
        time.sleep(PAUSE / 2)
    _ended.set()
    jax.distributed.shutdown()
    _exit(exit_code)  # sys.exit would wait for programs that a diverged run left on its devices


def fail(error: BaseException | str, exit_code: int = 1) -> NoReturn:
    """Ends this process of several at once and tells the others the reason, so that they end too.

    sys.exit would wait for the other processes, which wait for this one in a collective operation.

    Args:
      error: the reason; the traceback of an exception is printed.
      exit_code: exit code of this process and of the others.
    """
    state = _state()
    message = str(error)
    _ended.set()  # this process knows the reason: its watch need not read it
    try:
        if isinstance(error, BaseException):
            time.sleep(PAUSE / 2)  # a failed collective operation comes with the peer's reason
            if reasons := state.client.key_value_dir_get(FAILED):
                _follow(reasons[0][1])
            message, exit_code = _explain(error)
        _say(message)
        reason = f"{exit_code} process {state.process_id} ended: {message}"
        state.client.key_value_set(f"{FAILED}/first", reason)  # refused if there is one already
    except jax.errors.JaxRuntimeError:  # another process was first, or the store is gone
        pass
    _leave(exit_code)


def _explain(error: BaseException) -> tuple[str, int]:
    """One line and the exit code for a bug, or for an operation that a dead process broke."""
    first = (str(error).splitlines() or [""])[0][:300]
    if isinstance(error, jax.errors.JaxRuntimeError) or "Gloo" in first:
        return (
            f"an operation of all processes failed, most likely because one of them died. {AGAIN} "
            f"({first})",
            ProcessLost.exit_code,
        )
    traceback.print_exception(error)
    return f"{type(error).__name__}: {first}", 1


def _alone() -> bool:
    """Whether the environment names one process only, or no way to find others."""
    if "1" in (os.environ.get("OMPI_COMM_WORLD_SIZE"), os.environ.get("SLURM_NTASKS")):
        return True
    # A pod outside an indexed job (a notebook) is a single machine.
    in_pod = "KUBERNETES_SERVICE_HOST" in os.environ and "TPU_WORKER_HOSTNAMES" not in os.environ
    return in_pod and "JOB_COMPLETION_INDEX" not in os.environ


def _late() -> NoReturn:
    """Ends this process, because the others did not start in time."""
    _say(
        f"the processes of this run did not meet within {START_SECONDS} s. All of them must start, "
        "with the same number of processes and the same address of the first; --num_processes=1 "
        "runs this process alone"
    )
    _exit(ProcessLost.exit_code)


def _watch(lost_after: float) -> None:
    """Writes signs of life; ends this process when another one has failed or is silent."""
    state = _state()
    client, me = state.client, state.process_id
    answered = time.monotonic()
    heard = {process: ("", answered) for process in range(state.num_processes) if process != me}
    beat = 0
    while not _ended.wait(min(PAUSE, lost_after / 4)):
        beat += 1
        try:
            client.key_value_set(f"{BEAT}/{me}", str(beat), allow_overwrite=True)
            failed = client.key_value_dir_get(FAILED)
            beats = client.key_value_dir_get(BEAT) if me == 0 else []
            answered = time.monotonic()
        except Exception:  # noqa: BLE001 - the store raises many kinds when process 0 is gone
            if time.monotonic() - answered > lost_after and not _ended.is_set():
                fail(f"process 0 {_lost(lost_after)}", ProcessLost.exit_code)
            continue
        if failed and not _ended.is_set():
            _follow(failed[0][1])
        for key, value in beats:
            process = int(key.rpartition("/")[2])
            if process in heard and heard[process][0] != value:
                heard[process] = value, time.monotonic()
        for process, (_, at) in heard.items():
            if me == 0 and time.monotonic() - at > lost_after:
                fail(f"process {process} {_lost(lost_after)}", ProcessLost.exit_code)


def _lost(seconds: float) -> str:
    return f"has been silent for {seconds:g} s: it died, or its machine did. {AGAIN}"


def _follow(reason: str) -> NoReturn:
    """Ends this process with the reason and exit code of another one."""
    code, _, message = reason.partition(" ")
    _say(message)
    _leave(int(code))


def _leave(code: int) -> NoReturn:
    """Exits after a failure; process 0, which holds the store, when all have read the reason."""
    state = _state()
    patience = 2 * PAUSE if code == ProcessLost.exit_code else HEARING_SECONDS
    end = time.monotonic() + patience
    with contextlib.suppress(jax.errors.JaxRuntimeError):  # the store is gone already
        state.client.key_value_set(f"{HEARD}/{state.process_id}", "", allow_overwrite=True)
        while state.process_id == 0 and time.monotonic() < end:
            if len(state.client.key_value_dir_get(HEARD)) == state.num_processes:
                break
            time.sleep(PAUSE / 10)
    _exit(code)


def _say(message: str) -> None:
    print(f"jax_bt: {message}", file=sys.stderr, flush=True)


def _exit(code: int) -> NoReturn:
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
