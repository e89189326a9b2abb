"""Killed and started again, a run ends as if nothing had happened, bit for bit.

``tests/soak.py`` does the same at random moments, as often as one likes.
"""

import time

import numpy as np
from helpers import program


def kill_when(child, happened):
    """Kills a run with SIGKILL as soon as something has happened."""
    while not happened():
        assert child.poll() is None, child.communicate()[0]
        time.sleep(0.001)
    child.kill()
    child.communicate()


def test_killed_in_the_writing_of_a_checkpoint_and_in_the_evaluation(alone, tmp_path):
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
