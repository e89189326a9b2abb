"""Collapse is measured in the step, told in the log, and recorded in the summary."""

import json

import jax.numpy as jnp
import numpy as np
import pytest

from jax_bt import config, diagnostics, methods
from jax_bt.methods import Outputs
from jax_bt.train import collapse, train
from jax_bt.train.monitor import Monitor
from jax_bt.train.step import Metrics

SCALE = 0.1  # least healthy deviation, VICReg's


def outputs(representation, embedding):
    return Outputs({}, {}, (jnp.asarray(representation),), (jnp.asarray(embedding),))


def spread_out(*shape):
    return np.random.default_rng(0).normal(size=shape).astype(np.float32)


def record(representation, embedding):
    measured = collapse.measure(outputs(representation, embedding), jnp.asarray(True))
    return {name: float(value) for name, value in measured.items()}


def test_signals_are_those_of_diagnostics():
    z, h = spread_out(64, 8), spread_out(64, 12) + 1
    found = record(h, z)
    for kind, x in (("representation", h), ("embedding", z)):
        for name, value in diagnostics.measure(x)._asdict().items():
            np.testing.assert_allclose(found[f"collapse/{kind}_{name}"], value, rtol=1e-5)
        shares = np.asarray(diagnostics.spectrum(x))
        np.testing.assert_allclose(found[f"collapse/{kind}_top_direction"], shares[0], rtol=1e-5)
        count = int(found[f"collapse/{kind}_directions_90"])
        assert shares[: count - 1].sum() < 0.9 <= shares[:count].sum() + 1e-6


def test_nothing_is_measured_when_not_due():
    found = collapse.measure(outputs(spread_out(8, 4), spread_out(8, 4)), jnp.asarray(False))
    assert np.isnan([float(value) for value in found.values()]).all()
    assert collapse.verdict({"loss": 1.0}, SCALE) is None


def test_the_verdict_is_the_worse_of_both():
    good, line = spread_out(64, 8), spread_out(64, 1) * np.ones((1, 8), np.float32)
    constant = np.ones((64, 8), np.float32) + 1e-4 * good
    assert collapse.verdict(record(good, good), None) == "none"
    assert collapse.verdict(record(good, line), None) == "dimensional"
    assert collapse.verdict(record(constant, line), None) == "complete"
    history = [record(good, line), {"loss": 1.0}]
    assert collapse.last_verdict(history, None) == "dimensional"
    assert collapse.last_verdict(history[1:], None) == "not measured"


def test_shrinking_embeddings_count_where_the_loss_sees_lengths():
    shrunk = record(spread_out(64, 8), 0.01 * spread_out(64, 8))
    assert collapse.verdict(shrunk, SCALE) == "complete"
    assert collapse.verdict(shrunk, None) == "none"
    vicreg = methods.load("vicreg")
    assert methods.Method(vicreg).least_scale == SCALE
    assert methods.Method(vicreg, {"normalize": "l2"}).least_scale is None


class Listener:
    """Stands in for the metrics writer; keeps what is said."""

    def __init__(self):
        self.said, self.lines = [], []

    def write(self, step, values, at=None):
        self.lines.append(values)

    def tick(self, step):
        pass

    def say(self, text):
        self.said.append(text)


def test_the_log_tells_of_a_collapse_once_and_of_recovery():
    listener = Listener()
    monitor = Monitor(listener, {}, every=1, total_steps=9)
    good, line = spread_out(64, 8), spread_out(64, 1) * np.ones((1, 8), np.float32)
    unmeasured = collapse.measure(outputs(good, good), jnp.asarray(False))
    one = jnp.ones(())
    for step, z in enumerate((good, good, line, None, line, good)):
        signals = unmeasured if z is None else record(good, z)
        monitor.add(step, Metrics({"loss": one}, {"gradient_norm": one}, signals, 0 * one))
    monitor.drain()
    assert listener.said == [
        "step 2: dimensional collapse: images differ along a few directions only "
        "(docs/methods.md, Collapse)",
        "step 5: recovered from collapse",
    ]
    assert sorted(listener.lines[3]) == ["gradient_norm", "loss"]
    assert list(listener.lines[0])[:2] == ["loss", "gradient_norm"]  # shown beside the bar


def test_a_run_that_collapses_says_so(tmp_path, capsys):
    """VICReg without its variance term: the embeddings shrink to nothing."""
    c = config.smoke(config.digits(method="vicreg"))
    c.steps, c.log_every, c.diagnostics_every, c.checkpoint.every_steps = 40, 5, 20, 40
    with c.unlocked():
        c.encoder.features = 8
    c.optimizer.name, c.optimizer.learning_rate = "sgd", 0.8
    c.optimizer.bias_learning_rate, c.optimizer.weight_decay = None, 0.0
    c.evaluate.protocols = ("knn",)
    c.evaluate.baselines = c.evaluate.checkpoints = False
    c.loss.variance_weight = c.loss.covariance_weight = 0.0
    with pytest.warns(UserWarning, match="collapses or is unstable"):
        summary = train(c, tmp_path)
    assert summary["collapse"] == "complete"
    said = capsys.readouterr().out
    assert said.count("complete collapse: all images look alike to it (docs/methods.md") == 2
    lines = map(json.loads, (tmp_path / "metrics.jsonl").read_text().splitlines())
    measured = [line for line in lines if "collapse/embedding_std" in line]
    assert [line["step"] for line in measured] == [0, 20, 39]
    assert collapse.verdict(measured[0], SCALE) == "none"
    assert measured[-1]["collapse/embedding_scale"] < 0.1
    assert json.loads((tmp_path / "summary.json").read_text()) == summary
