"""Weighted kNN against the reference's numbers and against a plain loop."""

import sys

import jax
import numpy as np
import pytest

from jax_bt import evaluate


@pytest.mark.parametrize("row", range(6))
@pytest.mark.parametrize("chunk", [16384, 97])
def test_matches_the_reference(golden, row, chunk):
    g = golden("knn_classifier")
    result = evaluate.knn(
        g["train_x"],
        g["train_y"],
        g["test_x"],
        g["test_y"],
        k=int(g["k"][row]),
        temperature=float(g["T"][row]),
        chunk=chunk,
    )
    # One of 200 test examples is half a percent: nothing less than equality means anything.
    assert result == pytest.approx({"top1": g["top1"][row], "top5": g["top5"][row]}, abs=1e-9)


def by_loop(train_x, train_y, test_x, test_y, k, temperature):
    """The definition, one test example at a time, in float64."""
    unit = lambda x: x / np.linalg.norm(x, axis=1, keepdims=True)  # noqa: E731
    similarity = unit(test_x.astype(np.float64)) @ unit(train_x.astype(np.float64)).T
    classes = max(train_y.max(), test_y.max()) + 1
    hits = np.zeros(2)
    for row, label in zip(similarity, test_y, strict=True):
        scores = np.zeros(classes)
        for i in np.argsort(-row, kind="stable")[:k]:
            scores[train_y[i]] += np.exp(row[i] / temperature)
        order = np.argsort(-scores, kind="stable")
        hits += label == order[0], label in order[: min(5, k)]
    return 100 * hits / len(test_y)


@pytest.mark.parametrize("k", [1, 3, 20, 10_000])
def test_matches_the_definition(k):
    random = np.random.default_rng(k)
    train_y, test_y = random.integers(0, 17, 401), random.integers(0, 17, 1100)
    centres = random.normal(size=(17, 12))
    train_x = (centres[train_y] + random.normal(size=(401, 12))).astype(np.float32)
    test_x = (centres[test_y] + random.normal(size=(1100, 12))).astype(np.float32)
    result = evaluate.knn(train_x, train_y, test_x, test_y, k=k, temperature=0.07, chunk=100)
    top1, top5 = by_loop(train_x, train_y, test_x, test_y, k, 0.07)
    assert result == pytest.approx({"top1": top1, "top5": top5}, abs=1e-9)
    assert top1 < 100


def test_a_cold_vote_does_not_overflow():
    random = np.random.default_rng(0)
    train_y, test_y = random.integers(0, 6, 300), random.integers(0, 6, 200)
    train_x, test_x = random.normal(size=(300, 4)), random.normal(size=(200, 4))
    result = evaluate.knn(train_x, train_y, test_x, test_y, k=50, temperature=0.005)
    top1, top5 = by_loop(train_x, train_y, test_x, test_y, 50, 0.005)  # exp(200) in float64
    assert result == pytest.approx({"top1": top1, "top5": top5}, abs=1e-9)


def test_length_of_a_row_does_not_matter(golden):
    g = golden("knn_classifier")
    scale = np.random.default_rng(0).uniform(0.01, 100, (600, 1)).astype(np.float32)
    same = evaluate.knn(g["train_x"] * scale, g["train_y"], g["test_x"], g["test_y"], k=20)
    assert same == evaluate.knn(g["train_x"], g["train_y"], g["test_x"], g["test_y"], k=20)


def test_never_holds_all_similarities(monkeypatch):
    """No array of the compiled step grows with the whole bank."""
    module = sys.modules["jax_bt.evaluate.knn"]  # the attribute of that name is the function
    sizes = []
    original = module._nearer

    def watched(best, queries, bank, labels, valid, **options):
        sizes.extend(a.size for a in jax.tree.leaves((best, bank, labels)))
        return original(best, queries, bank, labels, valid, **options)

    monkeypatch.setattr(module, "_nearer", watched)
    random = np.random.default_rng(0)
    x, y = random.normal(size=(4000, 8)).astype(np.float32), random.integers(0, 3, 4000)
    evaluate.knn(x, y, x[:50], y[:50], k=10, chunk=200)
    assert max(sizes) <= 200 * 8


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"k": 0}, "k must be at least 1"),
        ({"temperature": 0.0}, "temperature must be positive"),
        ({"train_y": np.zeros(3, int)}, "one label an example"),
        ({"test_x": np.ones((2, 5), np.float32)}, "4 features and test_x 5"),
        ({"train_x": np.ones((10, 4, 1), np.float32)}, r"must be \(examples, features\)"),
        ({"test_x": np.full((2, 4), np.nan, np.float32)}, "not finite in 2 of 2 rows"),
        ({"test_y": np.array([-1, 0])}, "the label -1"),
        ({"test_y": np.array([0.5, 0])}, "integer class labels"),
        ({"test_x": np.ones((0, 4)), "test_y": np.zeros(0, int)}, "empty"),
    ],
)
def test_says_what_is_wrong(change, message):
    arguments = {
        "train_x": np.ones((10, 4), np.float32),
        "train_y": np.zeros(10, int),
        "test_x": np.ones((2, 4), np.float32),
        "test_y": np.zeros(2, int),
    }
    with pytest.raises(ValueError, match=message):
        evaluate.knn(**{**arguments, **change})
