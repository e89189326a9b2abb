"""Killed anywhere and started again, a run ends as if nothing had happened, bit for bit."""

import time

import numpy as np
import program


def kill_when(child, happened):
    """Kills a run with SIGKILL as soon as something has happened."""
    while not happened():
        assert child.poll() is None, child.communicate()[0]
        time.sleep(0.001)
    child.kill()
    child.communicate()


def test_killed_in_a_step_a_checkpoint_and_the_evaluation(alone, tmp_path):
    checkpoints = tmp_path / "checkpoints"
    moments = {
        "the first steps": lambda: program.lines(tmp_path) > 1,
        "a checkpoint's writing": lambda: any(checkpoints.glob("6.*tmp*")),
        "steps after a checkpoint": lambda: program.lines(tmp_path) > 7,
        "the evaluation": lambda: (checkpoints / "12").exists() and program.lines(tmp_path) == 12,
    }
    for name, happened in moments.items():
        kill_when(program.start(tmp_path, devices=4), happened)
        assert not (tmp_path / "summary.json").exists(), name
    assert "going on from the checkpoint of step 12" in program.end(
        program.start(tmp_path, devices=4)
    )
    assert program.history(tmp_path) == program.history(alone)  # each step once
    found, expected = program.arrays(tmp_path), program.arrays(alone)
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        np.testing.assert_array_equal(found[name], value, err_msg=name)
    assert program.summary(tmp_path) == program.summary(alone)


def test_goes_on_with_the_same_data_on_fewer_devices(alone, tmp_path):
    """Four devices to step 6, then two: the losses stay those of the same examples."""
    child = program.start(tmp_path, devices=4)
    kill_when(child, (tmp_path / "checkpoints" / "6").exists)
    said = program.end(program.start(tmp_path, devices=2))
    assert "going on from the checkpoint of step" in said
    losses, expected = (
        [record["loss"] for record in program.history(workdir)] for workdir in (tmp_path, alone)
    )
    np.testing.assert_allclose(losses, expected, rtol=1e-3)
