"""Probes over folds: against loops by hand, what they must not see, and what is refused."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import PredefinedSplit, cross_val_score

from jax_bt import data, evaluate
from jax_bt.errors import DataError, UsageError

COSTS = (0.1, 10.0, 1000.0)


def given(per_fold=24, folds=4, width=5, noise=1.2, seed=0):
    random = np.random.default_rng(seed)
    fold = np.repeat(np.arange(folds), per_fold)
    y = np.tile(np.arange(3), len(fold) // 3)
    x = 3 + np.eye(3, width)[y] + noise * random.normal(size=(len(fold), width))
    return x, y, fold


def by_hand(x, y, fold):
    """Nested loops over scikit-learn's cross_val_score; features scaled in float64."""
    scores, chosen = [], []
    for k in np.unique(fold):
        train, test = np.flatnonzero(fold != k), np.flatnonzero(fold == k)
        centred = x - x[train].mean(axis=0)
        centred /= np.sqrt((centred[train] ** 2).sum(axis=1).mean())
        inner = PredefinedSplit(fold[train])
        means = [
            cross_val_score(
                LogisticRegression(C=c, max_iter=1000), centred[train], y[train], cv=inner
            ).mean()
            for c in COSTS
        ]
        c = COSTS[int(np.argmax(means))]
        probe = LogisticRegression(C=c, max_iter=1000).fit(centred[train], y[train])
        scores.append(100 * np.mean(probe.predict(centred[test]) == y[test]))
        chosen.append(c)
    return scores, chosen


@pytest.mark.parametrize("seed", [0, 1])
def test_equals_loops_by_hand(seed):
    """Accuracies are counts: equal but for the rounding of a mean."""
    x, y, fold = given(seed=seed)
    mixed = np.random.default_rng(9).permutation(len(y))  # the order means nothing
    found = evaluate.linear_folds(x[mixed], y[mixed], 7 + fold[mixed], costs=COSTS)
    scores, chosen = by_hand(x, y, fold)
    assert [f["top1"] for f in found["folds"]] == pytest.approx(scores, abs=1e-9)
    assert [f["cost"] for f in found["folds"]] == chosen
    assert [f["fold"] for f in found["folds"]] == [7, 8, 9, 10]
    assert found["top1"] == pytest.approx(np.mean(scores), abs=1e-9)
    assert found["std"] == pytest.approx(np.std(scores, ddof=1), abs=1e-9)
    assert 45 < found["top1"] < 95  # neither chance nor trivial


def test_more_features_than_examples():
    """They are turned into the space of the training rows, where the answer is the same."""
    x, y, fold = given(per_fold=6, width=60, noise=0.4)
    found = evaluate.linear_folds(x, y, fold, costs=COSTS)
    scores, chosen = by_hand(x, y, fold)
    assert [f["top1"] for f in found["folds"]] == pytest.approx(scores, abs=1e-9)
    assert [f["cost"] for f in found["folds"]] == chosen
    assert 45 < found["top1"] < 95


def test_a_fold_is_never_tested_by_a_probe_that_saw_it():
    """Features that name the example: all is learned, and other folds get nothing of it."""
    _, _, fold = given()
    y = np.tile([0, 0, 1, 2], len(fold) // 4)
    x = np.eye(len(y))
    found = evaluate.linear_folds(x, y, fold)
    assert found["top1"] == pytest.approx(50)  # the most frequent class for all that is not known
    assert evaluate.linear_folds(np.eye(3)[y], y, fold)["top1"] == 100


def test_folds_are_the_parts_of_a_sum_of_splits():
    images = np.arange(12, dtype=np.uint8)[:, None, None] * np.ones((1, 4, 4), np.uint8)
    source = data.from_arrays({"fold1": images[:5], "fold2": images[5:7], "fold3": images[7:]})
    assert source.folds("fold2+fold1+fold3").tolist() == [0] * 2 + [1] * 5 + [2] * 5
    # By example index, as records and features have it.
    first, *_ = source.records("fold2+fold1+fold3").fetch(np.array([1, 2]))
    assert first[:, 0, 0, 0].tolist() == [6, 0]
    assert source.folds("fold1[:2]+fold1[2:]").tolist() == [0, 0, 1, 1, 1]
    with pytest.raises(DataError, match="two parts of .* share examples of fold1"):
        source.folds("fold1[:3]+fold2+fold1[2:]")


def test_the_table_takes_the_folds_of_the_training_rows():
    x, y, fold = given()
    kinds = {"trained": (x, y, x[:3], y[:3])}
    (found,) = evaluate.compare(kinds, protocols=["linear_folds"], folds=fold)
    expected = evaluate.linear_folds(x, y, fold)
    assert (found["top1"], found["std"]) == (expected["top1"], expected["std"])
    with pytest.raises(UsageError, match="linear_folds needs folds"):
        evaluate.compare(kinds, protocols=["linear_folds"])
    (failed,) = evaluate.compare(kinds, protocols=["linear_folds"], folds=fold // 2)
    assert failed["top1"] is None and "2 folds; at least 3" in failed["error"]


def test_what_is_refused():
    x, y, fold = given()
    with pytest.raises(ValueError, match=r"fold must be \(96,\)"):
        evaluate.linear_folds(x, y, fold[1:])
    alone = np.where(fold < 2, 0, y)
    with pytest.raises(ValueError, match="without the folds 2 and 3 there is only the class 0"):
        evaluate.linear_folds(x, alone, fold)
    protocol = evaluate.find("linear_folds")
    with pytest.raises(UsageError, match="at least 3, and esc train has 1: write"):
        protocol.check(examples=9, where="esc train")
    with pytest.raises(UsageError, match="up to 100,000 examples, not 100,001"):
        protocol.check(examples=100_001, folds=5)
    protocol.check(examples=400, folds=5)
