"""Lays features out in the plane, by principal components and by t-SNE."""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike


class Plane(NamedTuple):
    """One layout of N examples.

    Attributes:
      note: what it keeps, for people.
      places: (N, 2).
    """

    note: str
    places: np.ndarray


def planes(x: ArrayLike) -> dict[str, Plane]:
    """Places of examples by the cosine of their features: rows are scaled to unit length first.

    Args:
      x: (N, F) features; 1,000 rows take 3 seconds on one core.

    Returns:
      "PCA" and "t-SNE"; nothing where fewer than four rows differ or a value is not finite.

    Reference: van der Maaten and Hinton 2008, https://jmlr.org/papers/v9/vandermaaten08a.html
    """
    # They take 1 s to import, which a run need not wait for.
    from sklearn.decomposition import PCA
    from sklearn.manifold import TSNE
    from threadpoolctl import threadpool_limits

    rows = np.asarray(x)
    rows = rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)
    if rows.shape[1] < 2 or not np.isfinite(rows).all() or len(np.unique(rows, axis=0)) < 4:
        return {}
    perplexity = min(30.0, (len(rows) - 1) / 3)
    with threadpool_limits(1):  # its threads spin: beside other work 1 s becomes 20 s
        pca = PCA(min(50, *rows.shape), random_state=0).fit(rows)
        principal = pca.transform(rows)
        near = TSNE(perplexity=perplexity, init="pca", max_iter=500, random_state=0)
        places = near.fit_transform(principal)
    share = pca.explained_variance_ratio_[:2].sum()
    return {
        "PCA": Plane(f"{100 * share:.0f} % of the variance", principal[:, :2]),
        "t-SNE": Plane(f"perplexity {perplexity:.0f}", places),
    }
