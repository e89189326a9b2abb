"""The program as child processes, and what a run left behind."""

import json
import os
import pathlib
import socket
import subprocess
import sys
import time

import numpy as np
import orbax.checkpoint as ocp

from jax_bt.train import history

ROOT = pathlib.Path(__file__).parents[2]
CONFIG = "tests/whole_runs/tiny.py"
TIMES = {"seconds", "images_per_second", "waiting"}


def start(workdir, *words, devices=1, **environment):
    """Starts one process of ``python -m jax_bt.main``; its output is one stream of text."""
    return subprocess.Popen(
        [sys.executable, "-m", "jax_bt.main", f"--config={CONFIG}", f"--workdir={workdir}", *words],
        cwd=ROOT,
        env=os.environ | {"JAX_NUM_CPU_DEVICES": str(devices)} | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def end(process, code=0, timeout=300):
    """Waits for a process and its exit code; returns what it said."""
    said = process.communicate(timeout=timeout)[0]
    assert process.returncode == code, f"exit code {process.returncode}:\n{said}"
    return said


def lines(workdir):
    """How many steps metrics.jsonl holds so far."""
    path = pathlib.Path(workdir) / history.FILE
    return path.read_bytes().count(b"\n") if path.exists() else 0


def reached(workdir, count, process):
    """Waits until so many steps are written by a run that this process belongs to."""
    for _ in range(6000):
        if lines(workdir) >= count:
            return
        assert process.poll() is None, process.communicate()[0]
        time.sleep(0.05)
    raise AssertionError(f"{count} steps were not reached")


def free_port():
    with socket.socket() as s:
        s.bind(("", 0))
        return s.getsockname()[1]


def records(workdir):
    """The lines of metrics.jsonl without what depends on the clock."""
    return [
        {name: value for name, value in record.items() if name not in TIMES}
        for record in history.read(pathlib.Path(workdir))
    ]


def summary(workdir):
    """summary.json without what depends on the clock."""
    summary = json.loads((pathlib.Path(workdir) / "summary.json").read_text())
    return {name: value for name, value in summary.items() if name not in TIMES}


def arrays(workdir):
    """Every array of the newest checkpoint by name, read by Orbax alone."""
    folder = pathlib.Path(workdir).absolute() / "checkpoints"
    newest = max(int(path.name) for path in folder.iterdir() if path.name.isdigit())
    tree = ocp.StandardCheckpointer().restore(folder / str(newest) / "state")
    found, todo = {}, [((), tree)]
    while todo:
        path, node = todo.pop()
        items = node.items() if isinstance(node, dict) else enumerate(node)
        for key, value in items:
            if isinstance(value, dict | list | tuple):
                todo.append(((*path, str(key)), value))
            elif value is not None:
                found["/".join((*path, str(key)))] = np.asarray(value)
    return found
