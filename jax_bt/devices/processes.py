"""The processes of a run: started together, watched while they run, ended together.

One process on one machine needs none of this, and every function then does nothing.
"""

import os
import sys
import threading
import time
import traceback
from typing import NoReturn

import jax
from jax._src import distributed  # a run's key-value store has no public name

from jax_bt.errors import ProcessLost, UsageError

BEAT, FAILED, DONE = "jax_bt/beat", "jax_bt/failed", "jax_bt/done"  # keys of the run's store
PAUSE = 1.0  # seconds between looks at it
AGAIN = "Start all processes again; they go on from the last checkpoint"
START_SECONDS = 300  # how long the processes of a run may take to find each other

_ended = threading.Event()


def start(
    coordinator: str | None = None,
    num_processes: int | None = None,
    process_id: int | None = None,
    *,
    lost_after: float = 60.0,
) -> None:
    """Joins the processes of a run; to be called before anything asks for a device.

    Open MPI, SLURM, Cloud TPU, GKE and indexed Kubernetes jobs are recognised by JAX; a machine by
    itself, or an allocation with one task, stays one process without a word.

    Args:
      coordinator: "host:port" that process 0 listens on; None to find out.
      num_processes: of the run; 1 turns the search off.
      process_id: of this process, from 0.
      lost_after: seconds of silence after which a process counts as lost and all others end.

    Raises:
      UsageError: flags that do not go together. A run whose processes do not meet within
        START_SECONDS ends with a line and ProcessLost's exit code.
    """
    given = [value is not None for value in (coordinator, num_processes, process_id)]
    if num_processes == 1 or not any(given) and _alone():
        return
    if any(given) and not all(given):
        raise UsageError(
            "--coordinator=HOST:PORT, --num_processes and --process_id go together: pass all three "
            "(or none on SLURM, Open MPI, Cloud TPU and GKE, which tell them)"
        )
    # Runs agree on a stop themselves (SIGINT too); JAX's service would take SIGTERM for itself.
    jax.config.update("jax_enable_preemption_service", False)
    # On CPUs, programs in flight share a few threads: one that waits for another process could keep
    # what that process waits for from running. GPUs and TPUs do not look at this.
    jax.config.update("jax_cpu_enable_async_dispatch", False)
    late = threading.Timer(START_SECONDS, _late)  # JAX ends the process by a signal, with a dump
    late.start()
    try:
        jax.distributed.initialize(
            coordinator,
            num_processes,
            process_id,
            cluster_detection_method="deactivate" if all(given) else None,
            initialization_timeout=START_SECONDS + 60,
            # Below, every process watches the others and says what it saw; this is the second line.
            heartbeat_timeout_seconds=round(2 * lost_after),
        )
    except ValueError as error:
        if not any(given) and "coordinator_address should be defined" in str(error):
            return  # no cluster here
        raise UsageError(f"the processes of this run cannot be told apart: {error}") from error
    except RuntimeError:
        if any(given):
            raise
        return  # devices are in use already: a program around this one, by itself
    finally:
        late.cancel()
    if distributed.global_state.num_processes > 1:
        threading.Thread(target=_watch, args=(lost_after,), daemon=True).start()


def several() -> bool:
    """Whether this run has more than one process."""
    return distributed.global_state.num_processes > 1


def is_first() -> bool:
    """Whether this is the process that writes: the log, the checkpoints, the report."""
    return jax.process_index() == 0


def finish(exit_code: int) -> None:
    """Meets the others at the end of a run, however long the first process evaluates, and exits."""
    client = distributed.global_state.client
    if client is None:
        return
    if is_first():
        client.key_value_set(f"{DONE}/first", "")
    while not client.key_value_dir_get(DONE):
        time.sleep(PAUSE / 2)
    _ended.set()
    jax.distributed.shutdown()
    _exit(exit_code)  # an ordinary exit waits for what a diverged run still has on its devices


def fail(error: BaseException | str, exit_code: int = 1) -> NoReturn:
    """Ends this process of several at once and tells the others why, so that none waits for it.

    An ordinary exit would wait for the others, which wait for this one in a collective operation.

    Args:
      error: what happened; an exception that is no user's mistake is shown with its traceback.
      exit_code: of this process and, hearing of it, of the others.
    """
    state = distributed.global_state
    message = str(error)
    try:
        if isinstance(error, BaseException):
            time.sleep(PAUSE / 2)  # a failed collective operation comes with the peer's reason
            if reasons := state.client.key_value_dir_get(FAILED):
                _follow(reasons[0][1])
            message, exit_code = _explain(error)
        _say(message)
        reason = f"{exit_code} process {state.process_id} ended: {message}"
        state.client.key_value_set(f"{FAILED}/first", reason)  # refused if there is one already
        if state.process_id == 0:
            time.sleep(2 * PAUSE)  # the store lives here: the others need a moment to read it
    except jax.errors.JaxRuntimeError:  # another process was first, or the store is gone
        pass
    _exit(exit_code)


def _explain(error: BaseException) -> tuple[str, int]:
    """One line and the exit code for a bug, or for an operation that a dead process spoilt."""
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
    """Whether the environment says that there is but one process, or no way to find others."""
    if "1" in (os.environ.get("OMPI_COMM_WORLD_SIZE"), os.environ.get("SLURM_NTASKS")):
        return True
    # A pod that is not part of an indexed job (a notebook) is a machine by itself.
    in_pod = "KUBERNETES_SERVICE_HOST" in os.environ and "TPU_WORKER_HOSTNAMES" not in os.environ
    return in_pod and "JOB_COMPLETION_INDEX" not in os.environ


def _late() -> NoReturn:
    """Ends a process whose peers did not come."""
    _say(
        f"the processes of this run did not meet within {START_SECONDS} s. All of them must start, "
        "with the same number of processes and the same address of the first; --num_processes=1 "
        "runs this one by itself"
    )
    _exit(ProcessLost.exit_code)


def _watch(lost_after: float) -> None:
    """Shows life, and ends this process when another has failed or gone silent."""
    state = distributed.global_state
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
        except Exception:  # noqa: BLE001 - whatever the store can say when process 0 is gone
            if time.monotonic() - answered > lost_after and not _ended.is_set():
                fail(f"process 0 {_lost(lost_after)}", ProcessLost.exit_code)
            continue
        if failed:
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
    """Ends this process as another did, with its reason."""
    code, _, message = reason.partition(" ")
    _say(message)
    _exit(int(code))


def _say(message: str) -> None:
    print(f"jax_bt: {message}", file=sys.stderr, flush=True)


def _exit(code: int) -> NoReturn:
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
