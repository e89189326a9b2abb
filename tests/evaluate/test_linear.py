"""Linear probes: known accuracies on the digits, and the protocol's promises."""

import numpy as np
import pytest
from sklearn.datasets import load_digits

from jax_bt import evaluate


@pytest.fixture(scope="module")
def digits():
    images, labels = load_digits(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(images))
    train, test = order[:1437], order[1437:]
    return [images[train], labels[train], images[test], labels[test]]


@pytest.mark.parametrize(("per_class", "low", "high"), [(1, 62, 74), (5, 82, 88), (10, 88, 93)])
def test_few_labels_of_raw_digits(digits, per_class, low, high):
    result = evaluate.few_labels(*digits, per_class=per_class)
    assert low < result["top1"] < high
    assert 0 < result["std"] < 10


def test_all_labels_of_raw_digits(digits):
    assert 96 < evaluate.linear_probe(*digits)["top1"] < 99.5


def test_scale_shift_and_copies_of_features_change_nothing(digits):
    train_x, train_y, test_x, test_y = digits
    other = lambda x: np.tile(x / 16 - 0.5, 3)  # noqa: E731  # three channels, normalised
    here = evaluate.few_labels(*digits, per_class=5, draws=2)
    there = evaluate.few_labels(other(train_x), train_y, other(test_x), test_y, 5, draws=2)
    assert there["top1"] == pytest.approx(here["top1"], abs=0.3)


def test_draws_depend_on_the_seed_alone(digits):
    one, again, other = (evaluate.few_labels(*digits, 1, seed=seed) for seed in (0, 0, 1))
    assert one == again
    assert one != other


def test_learns_from_the_labels(digits):
    """Shuffled labels leave chance: nothing of the test labels leaks in."""
    train_x, train_y, test_x, test_y = digits
    shuffled = np.random.default_rng(1).permutation(train_y)
    assert evaluate.few_labels(train_x, shuffled, test_x, test_y, 10)["top1"] < 20


def test_collapsed_features_score_chance(digits):
    train_x, train_y, test_x, test_y = digits
    same = [np.full((len(x), 8), 3.7, np.float32) for x in (train_x, test_x)]
    assert evaluate.linear_probe(same[0], train_y, same[1], test_y)["top1"] < 20


def test_stopping_early_is_no_warning(digits):
    assert evaluate.linear_probe(*digits, max_iter=2)["top1"] > 10


def test_one_draw_has_no_spread(digits):
    assert evaluate.few_labels(*digits, 1, draws=1)["std"] == 0


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda a: evaluate.few_labels(*a, per_class=0), "at least 1"),
        (lambda a: evaluate.few_labels(*a, per_class=3, draws=0), "at least 1"),
        (lambda a: evaluate.few_labels(*a, per_class=3), "class 1 has 2 training examples"),
        (lambda a: evaluate.linear_probe(*a, c=0), "c must be positive"),
        (lambda a: evaluate.linear_probe(a[0][:4], a[1][:4], a[2], a[3]), "only the class 0"),
    ],
)
def test_says_what_is_wrong(call, message):
    x = np.random.default_rng(0).normal(size=(6, 3)).astype(np.float32)
    y = np.array([0, 0, 0, 0, 1, 1])
    with pytest.raises(ValueError, match=message):
        call((x, y, x, y))
