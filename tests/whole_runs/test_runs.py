"""Whole runs as people start them: what they leave, killed and continued, by several processes.

One file, so that one worker makes the run that the others are compared with.
"""

import json
import os
import signal
import subprocess
import time

import numpy as np
import pytest
from helpers import program

from jax_bt import main
from jax_bt.train import history


@pytest.fixture(scope="module")
def said_alone(tmp_path_factory):
    """The tiny run by one process on four devices, never interrupted: its folder, what it said."""
    workdir = tmp_path_factory.mktemp("alone")
    return workdir, program.end(program.start(workdir, devices=4))


@pytest.fixture(scope="module")
def alone(said_alone):
    return said_alone[0]


def test_a_run_says_what_it_achieved_and_leaves_it(said_alone, capsys, monkeypatch):
    workdir, said = said_alone
    assert said.splitlines()[-1] == f"report: {workdir / 'report' / 'index.html'}"
    assert "trained encoder" in said

    assert [record["step"] for record in history.read(workdir)] == list(range(12))
    record = history.read(workdir)[-1]
    assert {"loss", "invariance", "redundancy", "gradient_norm", "parameter_norm"} <= set(record)
    assert {"learning_rate", "bias_learning_rate", "images_per_second"} <= set(record)
    summary = json.loads((workdir / "summary.json").read_text())
    assert summary["method"] == "barlow_twins" and summary["steps"] == 12
    assert set(summary["final_loss"]) == {"loss", "invariance", "redundancy"}
    assert {r["protocol"] for r in summary["results"]} == {"knn"}
    assert json.loads((workdir / "config.json").read_text())["batch_size"] == 16
    assert list((workdir / "tensorboard").glob("events*"))
    pictures = {path.stem for path in (workdir / "report").glob("*.png")}
    assert {"losses", "rates", "correlation", "spectrum", "map", "views", "neighbours"} <= pictures

    monkeypatch.chdir(program.ROOT)
    assert main.run(["main", f"--config={program.CONFIG}", f"--workdir={workdir}"]) == 0
    assert capsys.readouterr().out.startswith("this run is finished; its report: ")


def test_the_large_config_runs_at_smoke_size(tmp_path, capsys, monkeypatch):
    """ImageNet's recipe and networks, on a data set that goes through TFDS."""
    monkeypatch.chdir(program.ROOT)
    config = "--config=configs/barlow_r50.py:smoke"
    assert main.run(["main", config, f"--workdir={tmp_path}"]) == 0
    said = capsys.readouterr().out
    assert said.splitlines()[-1] == f"report: {tmp_path / 'report' / 'index.html'}"
    assert "trained encoder" in said
    assert [record["step"] for record in history.read(tmp_path)] == list(range(4))


def kill_when(child, happened):
    """Kills a run with SIGKILL as soon as something has happened."""
    while not happened():
        assert child.poll() is None, child.communicate()[0]
        time.sleep(0.001)
    child.kill()
    child.communicate()


def test_killed_in_the_writing_of_a_checkpoint_and_in_the_evaluation(alone, tmp_path):
    """It ends as if nothing had happened, bit for bit; tests/soak.py kills at random moments."""
    checkpoints = tmp_path / "checkpoints"
    moments = {
        "a checkpoint's writing, steps after the one before": lambda: any(
            checkpoints.glob("6.*tmp*")
        ),
        "the evaluation": lambda: (checkpoints / "12").exists() and program.lines(tmp_path) == 12,
    }
    for name, happened in moments.items():
        kill_when(program.start(tmp_path, devices=4), happened)
        assert not (tmp_path / "summary.json").exists(), name
    said = program.end(program.start(tmp_path, devices=4))
    assert "going on from the checkpoint of step 12" in said
    assert program.records(tmp_path) == program.records(alone)  # each step once
    found, expected = program.arrays(tmp_path), program.arrays(alone)
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        np.testing.assert_array_equal(found[name], value, err_msg=name)
    assert program.summary(tmp_path) == program.summary(alone)


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
