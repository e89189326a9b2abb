"""How processes find, watch and end each other; whole runs are in whole_runs/."""

import pathlib
import signal
import socket
import subprocess
import sys
import time

import pytest

from jax_bt import errors
from jax_bt.devices import processes

ROOT = pathlib.Path(__file__).parents[2]

# A process that works with the others until something ends it, and then says what.
WORKER = """
import sys, jax
from jax.experimental import multihost_utils
from jax_bt import errors
from jax_bt.devices import processes
coordinator, count, process, mistake = sys.argv[1:]
processes.start(coordinator, int(count), int(process), lost_after=4)
try:
    for step in range(10**9):
        multihost_utils.sync_global_devices("step")
        if step == 3:
            print("working", flush=True)
            if process == mistake:
                raise errors.UsageError("no such recipe")
except errors.Expected as error:
    processes.fail(str(error), error.exit_code)
except Exception as error:
    processes.fail(error)
"""


class Worker:
    """One process; what it says goes to a file."""

    def __init__(self, path, *words):
        self.path = path
        with open(path, "w") as file:
            self.child = subprocess.Popen(
                [sys.executable, "-c", WORKER, *words], cwd=ROOT, stdout=file, stderr=file
            )

    def works(self):
        assert self.child.poll() is None, self.path.read_text()
        return "working" in self.path.read_text()

    def end(self):
        """What it has said when it has ended by itself, and its exit code."""
        code = self.child.wait(timeout=60)
        return self.path.read_text(), code


@pytest.fixture
def start(tmp_path):
    """Starts ``count`` workers and waits until they work together; none outlives the test."""
    workers = []

    def start(count, mistake=None):
        with socket.socket() as s:
            s.bind(("", 0))
            port = s.getsockname()[1]
        for i in range(count):
            words = [f"localhost:{port}", str(count), str(i), str(mistake)]
            workers.append(Worker(tmp_path / f"{i}.txt", *words))
        while mistake is None and not all(worker.works() for worker in workers):
            time.sleep(0.05)
        return workers

    yield start
    for worker in workers:
        worker.child.kill()
        worker.child.wait()


def test_a_killed_process_ends_the_other(start):
    first, second = start(2)
    second.child.kill()
    began = time.monotonic()
    said, code = first.end()
    assert code == errors.ProcessLost.exit_code
    assert "jax_bt: " in said and "they go on from the last checkpoint" in said
    assert time.monotonic() - began < 20


def test_a_killed_first_process_ends_the_other(start):
    """The store of the run is lost with it; JAX itself may notice first."""
    first, second = start(2)
    first.child.kill()
    said, code = second.end()
    assert code not in (0, None)
    assert "they go on from the last checkpoint" in said or "another task died" in said


def test_a_frozen_process_is_noticed(start):
    """As when a machine is cut off: no connection breaks, nothing answers."""
    first, second, third = start(3)
    third.child.send_signal(signal.SIGSTOP)
    for worker in (first, second):
        said, code = worker.end()
        assert code == errors.ProcessLost.exit_code, said
        assert "process 2 has been silent for 4 s" in said


def test_a_mistake_of_one_process_ends_all(start):
    first, second = start(2, mistake=1)
    said, code = second.end()
    assert code == errors.UsageError.exit_code and "jax_bt: no such recipe" in said
    said, code = first.end()
    assert code == errors.UsageError.exit_code
    assert "jax_bt: process 1 ended: no such recipe" in said


def test_a_single_machine_starts_nothing(monkeypatch, capfd):
    """Also in an interactive allocation with one task, and in a pod outside an indexed job."""
    monkeypatch.setattr(processes.jax.distributed, "initialize", None)  # would fail if called
    for name, value in {
        "SLURM_JOB_ID": "7",
        "SLURM_STEP_NODELIST": "localhost",
        "SLURM_NTASKS": "1",
        "SLURM_PROCID": "0",
        "SLURM_LOCALID": "0",
    }.items():
        monkeypatch.setenv(name, value)
    processes.start()
    monkeypatch.delenv("SLURM_NTASKS")
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1")
    processes.start()
    processes.start(num_processes=1)
    assert not processes.several() and processes.store() is None
    processes.finish(0)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("flags", [{"coordinator": "a:1"}, {"num_processes": 2, "process_id": 0}])
def test_flags_that_do_not_go_together(flags):
    with pytest.raises(errors.UsageError, match="pass all three"):
        processes.start(**flags)


def test_an_address_without_a_port():
    with pytest.raises(errors.UsageError, match="--coordinator=first-host has no port"):
        processes.start("first-host", 2, 0)
