"""The four arrays every evaluation takes, checked once and in the same words."""

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
    train_x, train_y = _one_set("train", train_x, train_y)
    test_x, test_y = _one_set("test", test_x, test_y)
    if train_x.shape[1] != test_x.shape[1]:
        raise ValueError(
            f"train_x has {train_x.shape[1]} features and test_x {test_x.shape[1]}; "
            "take both from the same encoder"
        )
    return train_x, train_y, test_x, test_y


def _one_set(name: str, x: ArrayLike, y: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    x, y = np.asarray(x), np.asarray(y)
    if x.ndim != 2:
        raise ValueError(f"{name}_x must be (examples, features), got shape {x.shape}")
    if y.shape != x.shape[:1]:
        raise ValueError(
            f"{name}_y must be one label an example, shape {x.shape[:1]}, got {y.shape}"
        )
    if not x.size:
        raise ValueError(f"{name}_x is empty, shape {x.shape}; nothing to evaluate")
    if not np.issubdtype(y.dtype, np.integer):
        raise ValueError(f"{name}_y must hold integer class labels, got {y.dtype}")
    if y.min() < 0:
        raise ValueError(f"{name}_y holds the label {y.min()}; leave unlabelled examples out")
    x = x.astype(np.promote_types(x.dtype, np.float32), copy=False)
    if not np.isfinite(x).all():
        bad = int(np.count_nonzero(~np.isfinite(x).all(axis=1)))
        raise ValueError(f"{name}_x is not finite in {bad} of {len(x)} rows; the encoder diverged")
    return x, y.astype(np.int64)
