"""Whole runs by several real processes: the same numbers, started, stopped and ended together."""

import os
import signal
import subprocess

import numpy as np
from helpers import program


def assert_close(workdir, reference):
    """Losses to 1e-3, every array of the last state to 1 % of its largest value.

    The processes add up in another order than the devices of one, and training amplifies rounding.
    An example taken twice, or a sum over some processes only, changes them by far more;
    equality in float64 is the business of tests/train/test_step.py.
    """
    for found, expected in zip(program.records(workdir), program.records(reference), strict=True):
        assert found["step"] == expected["step"]
        np.testing.assert_allclose(found["loss"], expected["loss"], rtol=1e-3)
    found, expected = program.arrays(workdir), program.arrays(reference)
    assert found.keys() == expected.keys()
    for name in expected.keys() - {"checksum"}:
        atol = 0.01 * float(np.abs(expected[name]).max())
        np.testing.assert_allclose(found[name], expected[name], atol=atol, err_msg=name)


def test_two_processes_stopped_as_one_and_continued_by_one(alone, tmp_path):
    """As ``srun --ntasks=2`` starts them, two devices each; SIGTERM to the second saves in both;
    then one process with two devices goes on."""
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
    assert "going on from the checkpoint of step" in program.end(program.start(tmp_path, devices=2))
    assert_close(tmp_path, alone)


def test_the_local_script_starts_two_and_passes_on_how_they_end(tmp_path):
    """A program in place of Python writes its words and fails as process 1."""
    stub = tmp_path / "stub"
    stub.write_text(
        '#!/usr/bin/env bash\n[ "$1" = -c ] && { echo 4242; exit; }\n'
        f'echo "$*" >> {tmp_path}/words\n[[ "$*" != *process_id=1* ]] || exit 75\n'
    )
    stub.chmod(0o755)
    done = subprocess.run(
        [program.ROOT / "launch" / "local_two_processes.sh", "--config=x"],
        env=os.environ | {"PYTHON": str(stub)},
    )
    assert done.returncode == 75
    flags = "-m jax_bt.main --coordinator=localhost:4242 --num_processes=2"
    assert sorted((tmp_path / "words").read_text().splitlines()) == [
        f"{flags} --process_id={i} --config=x" for i in (0, 1)
    ]
