"""Classifies VOC07 by linear SVMs on frozen features, as VISSL does it for the papers."""

import dataclasses
import warnings
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import cross_val_score
from sklearn.svm import LinearSVC
from sklearn.utils.parallel import Parallel, delayed

from jax_bt.errors import UsageError
from jax_bt.evaluate._checks import present_features
from jax_bt.evaluate._presets import Preset

TITLE = "VOC07, linear SVM"
NEEDS = "features"
LABELS = "several"
FOLDS = 3


@dataclasses.dataclass(frozen=True, kw_only=True)
class Svm(Preset):
    """Numbers of the protocol.

    Attributes:
      costs: candidates for C.
      max_iter: passes of liblinear at most; stopping there is an answer, not an error.
      squash: images are resized to 224 x 224 whatever their shape, instead of short side 256 and
        centre crop 224; for the caller to do.
      seed: of the order in which liblinear takes the coordinates.
    """

    costs: tuple[float, ...] = (0.01, 0.1, 1, 2, 5, 10, 15, 20, 50, 100, 1000)
    max_iter: int = 2000
    squash: bool = False
    seed: int = 0


PAPERS = Svm(
    title=TITLE,
    source="facebookresearch/vissl svm_trainer.py; Barlow Twins, table 3; VICReg, table 2",
    published={
        "supervised": {"map": 87.5},
        "SimCLR": {"map": 85.5},
        "MoCo v2": {"map": 86.4},
        "SwAV, 2 crops": {"map": 86.4},
        "SwAV": {"map": 88.9},
        "BYOL": {"map": 86.6},
        "OBoW": {"map": 89.3},
        "Barlow Twins": {"map": 86.2},
        "VICReg": {"map": 86.6},
    },
)
PRESETS = {
    "": PAPERS,
    "vissl": dataclasses.replace(
        PAPERS,
        title="VOC07, linear SVM, squashed images",
        squash=True,
        source="facebookresearch/vissl voc07 benchmark yaml",
        published={},
    ),
}


def check(
    protocol: Any,
    *,
    examples: int,
    counts: np.ndarray | None = None,
    where: str,
    folds: int = 1,
) -> None:
    """Raises UsageError if a class has too few training examples for the folds."""
    for k, present in enumerate(() if counts is None else counts):
        if min(present, examples - present) < FOLDS:
            raise UsageError(
                f"{protocol.name}: class {k} is present in {present} of the {examples} examples of "
                f"{where}; {FOLDS} folds need at least {FOLDS} with it and {FOLDS} without"
            )


def run(
    train_x: ArrayLike,
    train_y: ArrayLike,
    test_x: ArrayLike,
    test_y: ArrayLike,
    preset: Svm,
    *,
    mesh: Any = None,
) -> dict[str, Any]:
    """Mean average precision of one SVM per class, on the host.

    Rows become x / (|x| + 1e-5). C is that of the best mean average precision (scikit-learn's) over
    3 folds, per class, and the SVM is trained again on all examples. Presence weighs twice as much
    as absence. An example whose objects of a class are all difficult counts as absent in training
    and is left out of that class's test. Classes are independent: one core works on one after the
    other, all cores under ``joblib.parallel_config(n_jobs=-1)``.

    Args:
      train_x: (N, F) features, any floating dtype.
      train_y: (N, K) labels: 1 present, 0 absent, -1 difficult only.
      test_x: (M, F) features.
      test_y: (M, K) labels.
      preset: the numbers.
      mesh: not looked at.

    Returns:
      {"map": percent; "map_11_point": the same by the 11-point rule of 2007, for contrast;
      "classes": one {"ap", "cost"} per class}.

    Raises:
      ValueError: shapes that do not fit, features not finite, a class with fewer than 3 examples
        of presence or absence in training, or none of presence in testing.
    """
    train_x, train_y, test_x, test_y = present_features(train_x, train_y, test_x, test_y)
    for k in range(train_y.shape[1]):
        present = int(np.count_nonzero(train_y[:, k] == 1))
        if min(present, len(train_y) - present) < FOLDS:
            raise ValueError(
                f"class {k} is present in {present} of {len(train_y)} training examples; "
                f"{FOLDS} folds need at least {FOLDS} with it and {FOLDS} without"
            )
        if not np.any(test_y[:, k] == 1):
            raise ValueError(
                f"class {k} is present in no test example; its precision means nothing"
            )
    train_x, test_x = _normalised(train_x), _normalised(test_x)
    tasks = [delayed(_one_class)(train_x, y, test_x, preset) for y in train_y.T]
    outcomes: Any = Parallel()(tasks)
    classes, eleven = [], []
    for (cost, _, scores), y in zip(outcomes, test_y.T, strict=True):
        curve = precision_recall(scores, y)
        classes.append({"ap": 100 * average_precision(*curve), "cost": cost})
        eleven.append(100 * average_precision_11(*curve))
    return {
        "map": float(np.mean([found["ap"] for found in classes])),
        "map_11_point": float(np.mean(eleven)),
        "classes": classes,
    }


def precision_recall(scores: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Precision and recall along the ranking, best score first.

    Args:
      scores: (M,) larger for presence.
      labels: (M,) 1 present, 0 absent, -1 left out.

    Returns:
      Two (n,) arrays, n the examples that count.
    """
    known = labels >= 0
    order = np.argsort(-scores[known], kind="stable")
    hits = np.cumsum(labels[known][order] == 1)
    return hits / np.arange(1, len(hits) + 1), hits / hits[-1]


def average_precision(precision: np.ndarray, recall: np.ndarray) -> float:
    """Area under the precision, made monotone from the right, over all points of recall."""
    highest = np.maximum.accumulate(precision[::-1])[::-1]
    return float(np.sum(np.diff(recall, prepend=0.0) * highest))


def average_precision_11(precision: np.ndarray, recall: np.ndarray) -> float:
    """Mean of the highest precision at a recall of at least 0, 0.1, ..., 1."""
    # As everyone computes it: 3 * 0.1 lies a rounding above a recall of 3 / 10.
    reached = [precision[recall >= t] for t in np.linspace(0, 1, 11)]
    return float(np.mean([np.max(p, initial=0.0) for p in reached]))


def _normalised(x: np.ndarray) -> np.ndarray:
    x = x.astype(np.float64)
    return x / (np.linalg.norm(x, axis=1, keepdims=True) + 1e-5)


def _one_class(
    train_x: np.ndarray, y: np.ndarray, test_x: np.ndarray, preset: Svm
) -> tuple[float, list[float], np.ndarray]:
    """The chosen C, the mean precision of every candidate, and the scores of the test examples."""
    target = np.where(y == 1, 1, -1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        precision = [
            float(
                np.mean(
                    cross_val_score(
                        _svm(cost, preset), train_x, target, cv=FOLDS, scoring="average_precision"
                    )
                )
            )
            for cost in preset.costs
        ]
        cost = preset.costs[int(np.argmax(precision))]
        svm = _svm(cost, preset).fit(train_x, target)
    return cost, precision, svm.decision_function(test_x)


def _svm(cost: float, preset: Svm) -> LinearSVC:
    return LinearSVC(
        C=cost,
        class_weight={1: 2, -1: 1},
        penalty="l2",
        loss="squared_hinge",
        dual=True,  # pyright: ignore[reportArgumentType]  # its stubs take a word
        tol=1e-4,
        intercept_scaling=1,
        max_iter=preset.max_iter,
        random_state=preset.seed,
    )
