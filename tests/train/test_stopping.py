"""When a run saves and stops: by one process, and alike by several with other clocks."""

import os
import pathlib
import signal
import socket
import subprocess
import sys
import threading
import time

import pytest

from jax_bt.train import stopping
from jax_bt.train.stopping import Stopping, signals

ROOT = pathlib.Path(__file__).parents[2]


class Clock:
    """Time that passes when the test says so."""

    def __init__(self):
        self.now = 1000.0

    def monotonic(self):
        return self.now


class Store(dict):
    """The run's store of keys and values, as far as it is used."""

    def key_value_set(self, key, value, allow_overwrite=False):
        assert allow_overwrite or key not in self
        self[key] = value

    def key_value_dir_get(self, key):
        return [item for item in self.items() if item[0].startswith(f"{key}/")]

    def blocking_key_value_get(self, key, milliseconds):
        return self[key]

    def key_value_delete(self, key):
        del self[key]


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(stopping, "time", clock)
    return clock


def take(made, clock, steps, seconds, received=lambda step: []):
    """What is decided after each of so many steps of some seconds."""
    decisions = []
    for step in range(steps):
        clock.now += seconds
        decisions.append(made.after(step, received(step)))
    return decisions


def saves(decisions):
    return [step for step, (_, save) in enumerate(decisions) if save]


def stops(decisions):
    return [step for step, (stop, _) in enumerate(decisions) if stop]


def test_one_process_saves_by_steps_and_by_the_clock(clock):
    assert saves(take(Stopping(every_steps=4), clock, 10, 1.0)) == [3, 7]
    assert saves(take(Stopping(), clock, 10, 1e6)) == []
    # 60 s a period, 25 s a step: after 75 s, whatever is saved for another reason starts it anew.
    assert saves(take(Stopping(every_minutes=1), clock, 9, 25.0)) == [2, 5, 8]
    both = Stopping(every_steps=5, every_minutes=1)
    assert saves(take(both, clock, 10, 25.0)) == [2, 4, 7, 9]


def test_one_process_stops_at_once(clock):
    decisions = take(Stopping(), clock, 3, 1.0, lambda step: [signal.SIGINT] * (step == 1))
    assert stops(decisions) == [1]


@pytest.mark.parametrize("seconds, delay", [(0.01, 200), (0.3, 6), (20.0, 1)])
def test_several_processes_decide_alike(clock, monkeypatch, seconds, delay):
    """Two processes step by step on one store; the second one has no clock of its own.

    A period ends with one save, not with one for each decision under way. A stop comes at most
    2 * PERIOD or one step late: gaps between decisions are at most PERIOD at a steady pace.
    """
    store, numbers, roles = Store(), iter([7, 7]), {"first": True}
    monkeypatch.setattr(stopping.processes, "store", lambda: store)
    monkeypatch.setattr(stopping.processes, "is_first", lambda: roles["first"])
    monkeypatch.setattr(stopping, "_numbers", numbers)
    first, second = Stopping(every_minutes=1), Stopping(every_minutes=1e-9)
    decisions, asked = [], int(400 / seconds)
    for step in range(asked + delay + 1):
        clock.now += seconds
        roles["first"] = True
        decisions.append(first.after(step, []))
        roles["first"] = False
        received = [signal.SIGTERM] if step >= asked else []
        assert second.after(step, received) == decisions[-1]
    apart = [b - a for a, b in zip(saves(decisions), saves(decisions)[1:], strict=False)]
    assert apart and all(60 <= seconds * steps < 60 + seconds * delay for steps in apart)
    assert asked <= stops(decisions)[0] <= asked + delay
    assert len(store) <= stopping.KEPT + 1


WORKER = """
import sys, time
from jax.experimental import multihost_utils
from jax_bt.devices import processes
from jax_bt.train.stopping import Stopping, signals
coordinator, process = sys.argv[1], int(sys.argv[2])
processes.start(coordinator, 2, process)
time.sleep(0.5 * process)  # clocks that start at other times
stopping = Stopping(every_minutes=0.5 / 60)
with signals() as received:
    for step in range(10**9):
        multihost_utils.sync_global_devices("step")
        time.sleep(0.01)
        stop, save = stopping.after(step, received)
        if save:
            print("saved", step, flush=True)
        if stop:
            print("stopped", step, flush=True)
            break
processes.finish(0)
"""


def test_two_real_processes_save_once_a_period_and_stop_on_ctrl_c_to_one(tmp_path):
    with socket.socket() as s:
        s.bind(("", 0))
        port = s.getsockname()[1]
    files = [tmp_path / name for name in ("0", "1")]
    children = []
    for i, path in enumerate(files):
        words = [sys.executable, "-c", WORKER, f"localhost:{port}", str(i)]
        with open(path, "w") as file:
            env = os.environ | {"JAX_NUM_CPU_DEVICES": "1"}
            children.append(
                subprocess.Popen(words, cwd=ROOT, stdout=file, stderr=subprocess.STDOUT, env=env)
            )
    try:
        while files[0].read_text().count("saved") < 2:
            assert children[0].poll() is None, files[0].read_text()
            time.sleep(0.05)
        children[1].send_signal(signal.SIGINT)  # to this one alone
        assert [child.wait(timeout=60) for child in children] == [0, 0], files[1].read_text()
    finally:
        for child in children:
            child.kill()
    first, second = (
        [line.split() for line in path.read_text().splitlines() if line[0] == "s"] for path in files
    )
    assert first == second and [word for word, _ in first].count("stopped") == 1
    saved = [int(step) for word, step in first if word == "saved"]
    assert all(b - a > 10 for a, b in zip(saved, saved[1:], strict=False))  # 10 ms or more a step


@pytest.fixture
def ctrl_c():
    """Python's own answer to SIGINT, which a program in the background of a shell ignores."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield signal.default_int_handler
    signal.signal(signal.SIGINT, before)


def test_a_second_signal_kills_and_handlers_are_put_back(ctrl_c):
    with signals() as received:
        assert received == []
        os.kill(os.getpid(), signal.SIGINT)
        assert received == [signal.SIGINT]
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
            signal.pause()
    assert signal.getsignal(signal.SIGINT) is ctrl_c


def test_a_thread_gets_no_signals_and_no_error():
    found = []

    def train():
        with signals() as received:
            found.append(list(received))

    thread = threading.Thread(target=train)
    thread.start()
    thread.join()
    assert found == [[]]
