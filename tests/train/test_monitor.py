"""The log and losses that are not finite."""

import io
import json

import numpy as np
import pytest

from jax_bt import errors
from jax_bt.train import history
from jax_bt.train.monitor import AHEAD, Monitor
from jax_bt.train.step import Metrics
from jax_bt.train.writer import Writer


def metrics(loss=2.0, invariance=1.0, gradient=3.0, skipped=0, **signals):
    return Metrics(
        terms={"invariance": np.float32(invariance), "loss": np.float32(loss)},
        norms={"gradient_norm": np.float32(gradient)},
        signals={f"collapse/{k}": np.float32(v) for k, v in signals.items()},
        skipped=np.int32(skipped),
    )


@pytest.fixture
def make(tmp_path):
    """Makes the monitor of a run of 100 steps that writes every tenth."""
    with Writer(tmp_path, 100, stream=io.StringIO()) as writer:
        yield lambda **options: Monitor(
            writer, {"learning_rate": lambda step: 0.5}, every=10, total_steps=100, **options
        )


def test_the_first_ends_the_run_and_says_what_is_left(make, tmp_path):
    monitor = make(last_good=lambda: 40)
    for step in range(3):
        monitor.add(step, metrics())
    monitor.add(3, metrics(loss=np.nan, invariance=np.inf))
    with pytest.raises(errors.Diverged) as raised:
        for step in range(4, 4 + AHEAD):
            monitor.add(step, metrics())
    said = str(raised.value)
    for part in (
        "loss not finite at step 3: ",
        "invariance inf",
        "gradient_norm 3; learning_rate 0.5",
        "the checkpoint of step 40 is good",
        "smaller learning rate",
        "--config.skip_nonfinite=10",
    ):
        assert part in said
    assert "\n" not in said
    written = history.read(tmp_path)
    assert [record["step"] for record in written] == [0, 3]  # the culprit is written too
    assert written[-1]["loss"] is None


def test_a_number_of_steps_is_left_out_and_no_more(make, tmp_path):
    monitor = make(skip_limit=2)
    for step in (0, 1):
        monitor.add(step, metrics(loss=np.nan, skipped=step + 1))
    monitor.drain()
    monitor.add(2, metrics(skipped=2))
    monitor.add(3, metrics(loss=np.nan, skipped=3))
    with pytest.raises(errors.Diverged, match=r"3 steps skipped, 2 allowed.*no checkpoint yet"):
        monitor.drain()
    written = [(record["step"], record["skipped"]) for record in history.read(tmp_path)]
    assert written == [(0, 1), (1, 2), (3, 3)]


def test_a_line_has_the_loss_first_and_signals_where_measured(make, tmp_path):
    monitor = make()
    monitor.add(0, metrics(embedding_std=0.25))
    monitor.add(10, metrics(embedding_std=np.nan))
    monitor.drain()
    first, second = map(json.loads, (tmp_path / "metrics.jsonl").read_text().splitlines())
    terms = ["loss", "invariance", "gradient_norm"]
    assert [name for name in first if name in terms] == terms
    assert first["collapse/embedding_std"] == 0.25 and first["learning_rate"] == 0.5
    assert "collapse/embedding_std" not in second
