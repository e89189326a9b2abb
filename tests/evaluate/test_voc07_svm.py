"""The VOC07 protocol against VISSL's numbers."""

import dataclasses
import importlib

import numpy as np
import pytest

from jax_bt import evaluate
from jax_bt.errors import UsageError

module = importlib.import_module("jax_bt.evaluate.voc07_svm")
CASES = ["voc_svm_60x12_3costs", "voc_svm_150x24"]


def settings(g, **changes):
    return dataclasses.replace(module.PAPERS, costs=tuple(g["costs"].tolist()), **changes)


def test_average_precision_matches_the_reference(golden):
    g = golden("voc_ap")
    columns = list(zip(g["scores"].T, g["labels"].T, strict=True))
    curves = [module.precision_recall(s, y) for s, y in columns]
    np.testing.assert_allclose(curves[0][0], g["precision_class0"], rtol=1e-12)
    np.testing.assert_allclose(curves[0][1], g["recall_class0"], rtol=1e-12)
    ap = [module.average_precision(*curve) for curve in curves]
    np.testing.assert_allclose(ap, g["ap"], rtol=1e-12)
    np.testing.assert_allclose(np.mean(ap), g["map"], rtol=1e-12)
    eleven = [module.average_precision_11(*curve) for curve in curves]
    np.testing.assert_allclose(eleven, g["ap11"], rtol=1e-12)
    # Difficult examples that counted as absent would give another number.
    absent = [
        module.average_precision(*module.precision_recall(s, np.maximum(y, 0))) for s, y in columns
    ]
    np.testing.assert_allclose(absent, g["ap_difficult_negative"], rtol=1e-12)


def test_average_precision_by_hand():
    scores, labels = np.array([0.9, 0.8, 0.7, 0.6]), np.array([1, 0, 1, 0])
    curve = module.precision_recall(scores, labels)
    assert module.average_precision(*curve) == pytest.approx(5 / 6)
    assert module.average_precision_11(*curve) == pytest.approx((6 + 5 * 2 / 3) / 11)
    curve = module.precision_recall(scores, np.array([1, -1, 1, 0]))
    assert module.average_precision(*curve) == 1


@pytest.mark.parametrize("name", CASES)
def test_the_whole_protocol_matches_the_reference(golden, name):
    g = golden(name)
    arrays = g["train_x"], g["train_y"], g["test_x"], g["test_y"]
    result = module.run(*arrays, settings(g))
    # The reference's own runs differ by this much between seeds of liblinear.
    spread = 100 * g["test_ap_spread"].max() + 1e-6
    np.testing.assert_allclose([c["cost"] for c in result["classes"]], g["chosen_cost"])
    np.testing.assert_allclose(
        [c["ap"] for c in result["classes"]], 100 * g["test_ap"], atol=spread
    )
    assert result["map"] == pytest.approx(100 * float(g["map"]), abs=spread)
    assert result["map_11_point"] != result["map"]


@pytest.mark.parametrize("name", CASES)
def test_every_cost_and_score_matches_the_reference(golden, name):
    g = golden(name)
    train_x, test_x = module._normalised(g["train_x"]), module._normalised(g["test_x"])
    np.testing.assert_allclose(train_x[:5], g["normalized_first5"], rtol=0, atol=1e-7)
    assert not train_x[3].any()
    for k, y in enumerate(g["train_y"].T):
        _, precision, scores = module._one_class(train_x, y, test_x, settings(g))
        # Four seeds of the reference differ by up to 0.036 from C = 50 on, and nowhere below.
        allowed = np.where(g["costs"] < 50, 1e-9, 0.05)
        assert (np.abs(precision - g["crossval_ap"][k]) <= allowed).all()
        # liblinear stops at a tolerance of 1e-4; another order of coordinates ends elsewhere.
        np.testing.assert_allclose(scores, g["decision"][:, k], rtol=0, atol=2e-3)


def test_stopping_early_is_no_warning(golden):
    g = golden(CASES[0])
    arrays = g["train_x"], g["train_y"], g["test_x"], g["test_y"]
    assert module.run(*arrays, settings(g, max_iter=2))["map"] > 50


def test_it_is_not_for_one_class_per_example():
    with pytest.raises(UsageError, match="'voc07_svm' needs several labels"):
        evaluate.check_protocol("voc07_svm")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"train_y": np.zeros((12, 2), int)}, "class 0 is present in 0 of 12 training examples"),
        ({"test_y": np.zeros((12, 2), int)}, "class 0 is present in no test example"),
        ({"test_y": np.ones((12, 3), int)}, "2 classes and test_y 3"),
        ({"train_y": np.ones(12, int)}, r"must be \(examples, classes\), 12 examples"),
        ({"train_y": np.full((12, 2), 2)}, "-1 .difficult only., got 2"),
        ({"train_x": np.full((12, 3), np.nan)}, "not finite in 12 of 12 rows"),
    ],
)
def test_says_what_is_wrong(change, message):
    y = np.tile([[1, 0], [0, 1]], (6, 1))
    arrays = {"train_x": np.eye(12)[:, :3], "train_y": y, "test_x": np.eye(12)[:, :3], "test_y": y}
    with pytest.raises(ValueError, match=message):
        module.run(**(arrays | change), preset=module.PAPERS)
