"""What the log does with losses that are not finite."""

import numpy as np
import pytest

from jax_bt import errors, metrics
from jax_bt.train.monitor import AHEAD, Log

GOOD = {"loss": np.float32(2), "invariance": np.float32(1), "gradient_norm": np.float32(3)}
BAD = GOOD | {"loss": np.float32(np.nan), "invariance": np.float32(np.inf)}


@pytest.fixture
def make(tmp_path):
    """Makes the log of a run of 100 steps, a line every ten."""
    with metrics.Writer(tmp_path, 100, progress=False, tensorboard=False) as writer:
        yield lambda **options: Log(writer, {}, 10, 100, **options)


def test_the_first_ends_the_run_and_says_what_is_left(make, tmp_path):
    log = make(last_good=lambda: 40)
    for step in range(3):
        log.add(step, GOOD)
    log.add(3, BAD)
    with pytest.raises(errors.Diverged) as raised:
        for step in range(4, 4 + AHEAD):
            log.add(step, GOOD)
    said = str(raised.value)
    for part in (
        "loss not finite at step 3",
        "loss nan, invariance inf, gradient_norm 3",
        "the checkpoint of step 40 is good",
        "smaller learning rate",
        "--config.skip_nonfinite=10",
    ):
        assert part in said
    assert "\n" not in said
    assert [r["step"] for r in metrics.read(tmp_path)] == [0, 3]  # the culprit is written too
    assert metrics.read(tmp_path)[-1]["loss"] is None


def test_so_many_are_left_out_and_no_more(make, tmp_path):
    log = make(skip_limit=2)
    for step in (0, 1):
        log.add(step, BAD | {"skipped": np.int32(step + 1)})
    log.drain()
    log.add(2, GOOD | {"skipped": np.int32(2)})
    log.add(3, BAD | {"skipped": np.int32(3)})
    with pytest.raises(errors.Diverged, match=r"3 steps skipped, 2 allowed.*no checkpoint yet"):
        log.drain()
    assert [(r["step"], r["skipped"]) for r in metrics.read(tmp_path)] == [(0, 1), (1, 2), (3, 3)]
