"""Trains linear probes on frozen features, with all labels or a few per class.

One protocol for every kind of feature, pixels included: the whole training set, labels unseen,
gives a mean and ONE scale, after which the mean squared length of a row is 1. Then scikit-learn's
multinomial LogisticRegression (L-BFGS) with C = 10 whatever the number of labels. Logistic
regression sees features only through their inner products, so the scale makes one C fit 64 pixels,
the same pixels repeated in three channels, and 2048 features alike. Dividing each feature by its
own deviation instead would inflate pixels that hardly vary: on the digits that costs raw pixels 6,
3 and 1 points at 1, 5 and 10 labels per class, and flatters whatever is compared with them.
"""

import dataclasses
import warnings
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from jax_bt.errors import UsageError
from jax_bt.evaluate._checks import labelled_features
from jax_bt.evaluate._presets import Preset

TITLE = "linear probe"
NEEDS = "features"
# Above so many examples L-BFGS in the memory of one host takes hours.
MOST_EXAMPLES = 100_000


@dataclasses.dataclass(frozen=True, kw_only=True)
class Labels(Preset):
    """Numbers of the protocol: None for all labels, or the arguments of ``few_labels``."""

    per_class: int | None = None
    draws: int = 5
    seed: int = 0


PRESETS = {"": Labels(title=TITLE)}


def preset(name: str) -> Labels | None:
    """ "<n>" for n labels of each class; None for other names."""
    if not (name.isdecimal() and int(name) > 0):
        return None
    count = int(name)
    return Labels(title=f"{count} label{'s' * (count > 1)} per class", per_class=count)


def check_size(protocol: Any, examples: int, way_out: str = "") -> None:
    """Raises UsageError for more examples than one host solves; ``way_out`` ends the message."""
    if examples > MOST_EXAMPLES:
        raise UsageError(
            f"evaluate.protocols: {protocol.name!r} solves in the memory of one host, for up to "
            f"{MOST_EXAMPLES:,} examples, not {examples:,}: use 'linear_cached' or 'knn'{way_out}"
        )


def check(
    protocol: Any, *, examples: int, counts: np.ndarray | None, where: str, folds: int = 1
) -> None:
    """Raises UsageError for too many examples, or a class with too few."""
    check_size(protocol, examples, ", or a part of the split by --config.evaluate.train")
    per_class = protocol.preset.per_class
    if per_class and counts is not None and per_class > min(counts, default=0):
        raise UsageError(
            f"evaluate.protocols: {protocol.name!r} draws {per_class} labels per class, but a "
            f"class of {where or 'the data set'} has {min(counts, default=0)}"
        )


def run(
    train_x: ArrayLike,
    train_y: ArrayLike,
    test_x: ArrayLike,
    test_y: ArrayLike,
    preset: Labels,
    *,
    mesh: Any = None,
) -> dict[str, float]:
    """The protocol on features, on the host: ``linear_probe`` or ``few_labels``."""
    arrays = (train_x, train_y, test_x, test_y)
    if preset.per_class is None:
        return linear_probe(*arrays)
    return few_labels(*arrays, preset.per_class, preset.draws, preset.seed)


def linear_probe(
    train_x: ArrayLike,
    train_y: ArrayLike,
    test_x: ArrayLike,
    test_y: ArrayLike,
    *,
    c: float = 10.0,
    max_iter: int = 2000,
) -> dict[str, float]:
    """Accuracy of a linear classifier trained on all labels of frozen features.

    min_w  |w|^2 / 2 + C * sum_i cross_entropy(w . x_i + b, y_i)

    Deterministic and in the host's memory: meant for up to about 100,000 examples.

    Args:
      train_x: (N, F) features, any floating dtype; scaled here (see the module).
      train_y: (N,) integer labels, at least two classes.
      test_x: (M, F) features.
      test_y: (M,) integer labels.
      c: inverse strength of the penalty, in examples.
      max_iter: most iterations of L-BFGS; stopping there is an answer, not an error.

    Returns:
      {"top1": percent}.

    Raises:
      ValueError: shapes that do not fit, features not finite, a single class, c not positive.
    """
    train_x, train_y, test_x, test_y = labelled_features(train_x, train_y, test_x, test_y)
    train_x, test_x = scaled(train_x, test_x)
    return {"top1": _accuracy(train_x, train_y, test_x, test_y, c, max_iter)}


def few_labels(
    train_x: ArrayLike,
    train_y: ArrayLike,
    test_x: ArrayLike,
    test_y: ArrayLike,
    per_class: int,
    draws: int = 5,
    seed: int = 0,
    *,
    c: float = 10.0,
    max_iter: int = 2000,
) -> dict[str, float]:
    """Accuracy of a linear classifier that sees a few labels of each class.

    The draw depends on (seed, draw, labels) alone: every kind of feature is judged on the same
    labelled examples, and the draw of 5 a class contains the draw of 1. The scale comes from the
    whole training set, whose features need no labels.

    Args:
      train_x: (N, F) features, any floating dtype; scaled here (see the module).
      train_y: (N,) integer labels, at least two classes.
      test_x: (M, F) features.
      test_y: (M,) integer labels.
      per_class: labels seen of each class.
      draws: independent draws of the labelled examples.
      seed: of the draws.
      c: inverse strength of the penalty, in examples.
      max_iter: most iterations of L-BFGS.

    Returns:
      {"top1": mean percent over draws, "std": their sample standard deviation, 0 for one draw}.

    Raises:
      ValueError: as linear_probe; also a class with fewer than ``per_class`` examples.
    """
    if per_class < 1 or draws < 1:
        raise ValueError(f"per_class and draws must be at least 1, got {per_class} and {draws}")
    train_x, train_y, test_x, test_y = labelled_features(train_x, train_y, test_x, test_y)
    classes, counts = np.unique(train_y, return_counts=True)
    if counts.min() < per_class:
        raise ValueError(
            f"class {classes[counts.argmin()]} has {counts.min()} training examples; "
            f"{per_class} labels per class cannot be drawn"
        )
    train_x, test_x = scaled(train_x, test_x)
    top1 = []
    for draw in range(draws):
        random = np.random.default_rng([seed, draw])
        chosen = np.concatenate(
            [random.permutation(np.flatnonzero(train_y == label))[:per_class] for label in classes]
        )
        top1.append(_accuracy(train_x[chosen], train_y[chosen], test_x, test_y, c, max_iter))
    return {"top1": float(np.mean(top1)), "std": float(np.std(top1, ddof=1)) if draws > 1 else 0.0}


def scaled(train_x: np.ndarray, test_x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Centres both sets by the training mean and divides by the training rows' RMS length."""
    mean = train_x.mean(axis=0, dtype=np.float64)
    length = np.sqrt(np.sum(np.var(train_x, axis=0, dtype=np.float64)))
    # Collapsed features are all one point: left at zero they score chance, which is the truth.
    length = length if length > 1e-6 * max(1e-30, np.linalg.norm(mean)) else 1.0
    return (train_x - mean) / length, (test_x - mean) / length


def _accuracy(train_x, train_y, test_x, test_y, c, max_iter) -> float:
    if not c > 0:
        raise ValueError(f"c must be positive, got {c}")
    if len(np.unique(train_y)) < 2:
        raise ValueError(f"train_y holds only the class {train_y[0]}; a probe needs at least two")
    # It takes a second to import, for which the first step of a run need not wait.
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    probe = LogisticRegression(C=c, max_iter=max_iter)
    with warnings.catch_warnings():
        # The accuracy settles long before the loss: the bound is a budget, not a failure.
        warnings.simplefilter("ignore", ConvergenceWarning)
        probe.fit(train_x, train_y)
    return 100.0 * float(probe.score(test_x, test_y))
