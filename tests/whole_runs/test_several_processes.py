"""Whole runs by several real processes: the same numbers, started, stopped and ended together."""

import os
import signal

import numpy as np
from helpers import program


def assert_close(workdir, reference):
    """Losses to 1e-3, every array of the last state to 1 % of its largest value.

    The processes add up in another order than the devices of one, and training amplifies rounding:
    12 gentle steps (see tiny.py) leave some 1e-5 of a relative 1e-7.
    """
    for found, expected in zip(program.records(workdir), program.records(reference), strict=True):
        assert found["step"] == expected["step"]
        np.testing.assert_allclose(found["loss"], expected["loss"], rtol=1e-3)
    found, expected = program.arrays(workdir), program.arrays(reference)
    assert found.keys() == expected.keys()
    for name in expected.keys() - {"checksum"}:
        atol = 0.01 * float(np.abs(expected[name]).max())
        np.testing.assert_allclose(found[name], expected[name], atol=atol, err_msg=name)


def test_two_processes_stopped_as_one_give_the_run_of_one(alone, tmp_path):
    """As ``srun --ntasks=2`` starts them, on four devices; SIGTERM to the second saves in both;
    then the local script goes on, on two devices."""
    slurm = {
        "SLURM_JOB_ID": str(os.getpid()),
        "SLURM_STEP_NODELIST": "localhost",
        "SLURM_NTASKS": "2",
        "JAX_COORDINATOR_PORT": str(program.free_port()),
    }
    tasks = [{"SLURM_PROCID": i, "SLURM_LOCALID": i} for i in "01"]
    children = [program.start(tmp_path, devices=2, **slurm, **task) for task in tasks]
    program.reached(tmp_path, 1, children[0])
    children[1].send_signal(signal.SIGTERM)
    said = [program.end(child, code=75) for child in children]
    assert all("saved step" in text for text in said)
    assert "loss" not in said[1]  # the first alone writes
    said = program.end(program.launch("local_two_processes.sh", tmp_path, devices=1))
    assert "going on from the checkpoint of step" in said
    assert said.count("trained encoder") == said.count("report: ") == 1
    assert_close(tmp_path, alone)


def test_a_process_killed_in_training_ends_the_other(tmp_path):
    children = program.start_all(tmp_path, 2, "--config.steps=100000", "--lost_after=5")
    program.reached(tmp_path, 1, children[0])
    children[1].kill()
    said = program.end(children[0], code=69, timeout=60)
    assert "they go on from the last checkpoint" in said
    children[1].communicate()
