"""Trains linear probes over the folds of a data set: each fold is tested by a probe of the others.

As ESC-50 is evaluated, whose folds keep pieces of one recording together. The features are scaled
as in ``linear``. C is that of the best mean accuracy over the training folds, each left out in
turn, so that no test label is seen.
"""

import dataclasses
import warnings
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from jax_bt.errors import UsageError
from jax_bt.evaluate._checks import labelled_features
from jax_bt.evaluate._presets import Preset
from jax_bt.evaluate.linear import check_size, scaled

TITLE = "linear probe over folds"
NEEDS = "folds"
LEAST_FOLDS = 3  # one to test on, and two to choose C


@dataclasses.dataclass(frozen=True, kw_only=True)
class Folds(Preset):
    """Numbers of the protocol.

    Attributes:
      costs: candidates for C.
      max_iter: most iterations of L-BFGS; stopping there is an answer, not an error.
    """

    costs: tuple[float, ...] = (0.1, 1.0, 10.0, 100.0)
    max_iter: int = 1000


PRESETS = {"": Folds(title=TITLE)}


def check(
    protocol: Any, *, examples: int, counts: np.ndarray | None, where: str, folds: int
) -> None:
    """Raises UsageError for too few folds or too many examples."""
    if folds < LEAST_FOLDS:
        raise UsageError(
            f"evaluate.protocols: {protocol.name!r} takes each part of a sum of splits as a fold, "
            f"at least {LEAST_FOLDS}, and {where or 'the split'} has {folds}: write "
            '"fold1+fold2+fold3", or "train[:33%]+train[33%:66%]+train[66%:]"'
        )
    check_size(protocol, examples)


def run(
    x: ArrayLike, y: ArrayLike, fold: ArrayLike, preset: Folds, *, mesh: Any = None
) -> dict[str, Any]:
    """The protocol on features, on the host: ``linear_folds``."""
    return linear_folds(x, y, fold, costs=preset.costs, max_iter=preset.max_iter)


def linear_folds(
    x: ArrayLike,
    y: ArrayLike,
    fold: ArrayLike,
    *,
    costs: tuple[float, ...] = (0.1, 1.0, 10.0, 100.0),
    max_iter: int = 1000,
) -> dict[str, Any]:
    """Accuracy of linear classifiers that are each tested on the fold that they have not seen.

    min_w  |w|^2 / 2 + C * sum_i cross_entropy(w . x_i + b, y_i)   over the other folds' examples,

    with the C that is best when each of these folds is left out in turn.

    Args:
      x: (N, F) features, any floating dtype; scaled here, by the training folds of each probe.
      y: (N,) integer labels, at least two classes among any folds but one.
      fold: (N,) integers: which fold an example is of.
      costs: candidates for C; the first of equally good ones is taken.
      max_iter: most iterations of L-BFGS.

    Returns:
      {"top1": mean percent over folds, "std": their sample standard deviation, "folds": one
      {"fold", "top1", "cost"} each, in the order of their numbers}.

    Raises:
      ValueError: shapes that do not fit, features not finite, fewer than three folds, or training
        folds of a single class.
    """
    # They take a second to import, for which the first step of a run need not wait.
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import GridSearchCV, LeaveOneGroupOut

    x, y, *_ = labelled_features(x, y, x, y)
    fold = np.asarray(fold)
    if fold.shape != y.shape:
        raise ValueError(f"fold must be ({len(y)},), one number per example, got {fold.shape}")
    if len(numbers := np.unique(fold)) < LEAST_FOLDS:
        raise ValueError(f"{len(numbers)} folds; at least {LEAST_FOLDS} are needed")
    found = []
    for number in numbers:
        seen = fold != number
        for left_out in numbers[numbers != number]:
            inner = y[seen & (fold != left_out)]
            if len(np.unique(inner)) < 2:
                raise ValueError(
                    f"without the folds {number} and {left_out} there is only the class "
                    f"{inner[0]}; a probe needs at least two"
                )
        train_x, test_x = _turned(*scaled(x[seen], x[~seen]))
        search: Any = GridSearchCV(
            LogisticRegression(max_iter=max_iter), {"C": costs}, cv=LeaveOneGroupOut()
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            search.fit(train_x, y[seen], groups=fold[seen])
        top1 = 100.0 * float(search.score(test_x, y[~seen]))
        found.append({"fold": int(number), "top1": top1, "cost": float(search.best_params_["C"])})
    scores = [one["top1"] for one in found]
    return {"top1": float(np.mean(scores)), "std": float(np.std(scores, ddof=1)), "folds": found}


def _turned(train_x: np.ndarray, test_x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The same features in the space of the training rows, where it has fewer dimensions.

    The best w lies in it, and a rotation changes neither |w| nor w . x.
    """
    if train_x.shape[1] <= len(train_x):
        return train_x, test_x
    basis, _ = np.linalg.qr(train_x.T)
    return train_x @ basis, test_x @ basis
