"""RankMe of whole feature sets."""

import numpy as np
import pytest

from jax_bt import evaluate
from jax_bt.errors import UsageError


def test_matches_its_definition():
    random = np.random.default_rng(0)
    x = (random.normal(size=(200, 12)) * 0.6 ** np.arange(12)).astype(np.float32)
    values = np.linalg.svd(x.astype(np.float64), compute_uv=False)
    p = values / values.sum() + 1e-7
    wanted = np.exp(-np.sum(p * np.log(p)))
    assert evaluate.rankme(x) == pytest.approx(wanted, rel=1e-5)  # float32
    protocol = evaluate.find("rankme")
    scores = protocol.module.run(x, None, None, None, protocol.preset)
    assert scores == {"rank": evaluate.rankme(x)}


def test_few_rows_stand_for_all():
    random = np.random.default_rng(0)
    x = random.normal(size=(4000, 8)).astype(np.float32)
    assert evaluate.rankme(x, rows=500) == pytest.approx(evaluate.rankme(x), rel=0.02)
    # Evenly spaced, not the first: those are all alike here.
    x[:1000] = x[0]
    assert evaluate.rankme(x, rows=500) > 6


def test_collapse_is_one_direction():
    assert evaluate.rankme(np.outer(np.arange(1.0, 60), np.ones(7))) == pytest.approx(1, abs=0.01)


def test_says_what_is_wrong():
    with pytest.raises(ValueError, match=r"at least 2 rows and 2 columns, got \(5,\)"):
        evaluate.rankme(np.ones(5))
    with pytest.raises(ValueError, match="not finite"):
        evaluate.rankme(np.full((4, 4), np.nan))
    with pytest.raises(UsageError, match="'rankme' needs no labels"):
        evaluate.check_protocol("rankme")
