"""Checks the four arrays that every evaluation of features takes."""

import numpy as np
from numpy.typing import ArrayLike


def labelled_features(
    train_x: ArrayLike, train_y: ArrayLike, test_x: ArrayLike, test_y: ArrayLike
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Features as (N, F) floating point (at least float32) and labels as (N,) int64.

    Args:
      train_x: (N, F) features with labels to learn from.
      train_y: (N,) integer labels >= 0.
      test_x: (M, F) features to classify.
      test_y: (M,) integer labels >= 0.

    Returns:
      The four arrays on the host.

    Raises:
      ValueError: shapes that do not fit, an empty set, a label that is no class, a feature that is
        not finite.
    """
    train_x, test_x = _features(train_x, test_x)
    train_y, test_y = _classes("train", train_x, train_y), _classes("test", test_x, test_y)
    return train_x, train_y, test_x, test_y


def present_features(
    train_x: ArrayLike, train_y: ArrayLike, test_x: ArrayLike, test_y: ArrayLike
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """As ``labelled_features``, but with labels (N, K): 1 present, 0 absent, -1 difficult only.

    Raises:
      ValueError: as there, another value, or sets with different numbers of classes.
    """
    train_x, test_x = _features(train_x, test_x)
    train_y, test_y = _presence("train", train_x, train_y), _presence("test", test_x, test_y)
    if train_y.shape[1] != test_y.shape[1]:
        raise ValueError(
            f"train_y has {train_y.shape[1]} classes and test_y {test_y.shape[1]}; "
            "take both from the same data set"
        )
    return train_x, train_y, test_x, test_y


def _features(train_x: ArrayLike, test_x: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    found = []
    for name, x in (("train", np.asarray(train_x)), ("test", np.asarray(test_x))):
        if x.ndim != 2:
            raise ValueError(f"{name}_x must be (examples, features), got shape {x.shape}")
        if not x.size:
            raise ValueError(f"{name}_x is empty, shape {x.shape}; nothing to evaluate")
        x = x.astype(np.promote_types(x.dtype, np.float32), copy=False)
        if not np.isfinite(x).all():
            bad = int(np.count_nonzero(~np.isfinite(x).all(axis=1)))
            raise ValueError(
                f"{name}_x is not finite in {bad} of {len(x)} rows; the encoder diverged"
            )
        found.append(x)
    if found[0].shape[1] != found[1].shape[1]:
        raise ValueError(
            f"train_x has {found[0].shape[1]} features and test_x {found[1].shape[1]}; "
            "take both from the same encoder"
        )
    return found[0], found[1]


def _classes(name: str, x: np.ndarray, y: ArrayLike) -> np.ndarray:
    y = np.asarray(y)
    if y.shape != x.shape[:1]:
        raise ValueError(
            f"{name}_y must be one label an example, shape {x.shape[:1]}, got {y.shape}"
        )
    if not np.issubdtype(y.dtype, np.integer):
        raise ValueError(f"{name}_y must hold integer class labels, got {y.dtype}")
    if y.min() < 0:
        raise ValueError(f"{name}_y holds the label {y.min()}; leave unlabelled examples out")
    return y.astype(np.int64)


def _presence(name: str, x: np.ndarray, y: ArrayLike) -> np.ndarray:
    y = np.asarray(y)
    if y.ndim != 2 or len(y) != len(x) or not y.size:
        raise ValueError(
            f"{name}_y must be (examples, classes), {len(x)} examples, got shape {y.shape}"
        )
    if not np.isin(y, (1, 0, -1)).all():
        raise ValueError(
            f"{name}_y must hold 1 (present), 0 (absent) or -1 (difficult only), got "
            f"{y[~np.isin(y, (1, 0, -1))][0]}"
        )
    return y.astype(np.int64)
