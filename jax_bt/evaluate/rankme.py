"""Computes RankMe: how many directions features use, to choose between runs without labels."""

import dataclasses
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from jax_bt import diagnostics
from jax_bt.evaluate._presets import Preset

TITLE = "RankMe"
NEEDS = "features"
LABELS = "none"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Rows(Preset):
    """Numbers of the protocol: at most so many features, evenly spaced, enter."""

    rows: int = 25_600


PRESETS = {"": Rows(title=TITLE, source="Garrido et al. 2023, arXiv:2210.02885, section 3")}


def run(
    train_x: ArrayLike,
    train_y: Any,
    test_x: Any,
    test_y: Any,
    preset: Rows,
    *,
    mesh: Any = None,
) -> dict[str, float]:
    """{"rank": RankMe of the training features}; nothing else is looked at."""
    return {"rank": rankme(train_x, rows=preset.rows)}


def rankme(x: ArrayLike, *, rows: int = 25_600) -> float:
    """RankMe, exp of the entropy of the singular values' shares; see diagnostics.effective_rank.

    Of runs of one method that differ in their hyper-parameters, the one with the highest rank on
    the data it was trained on tends to be the best downstream. Ranks of different widths or methods
    do not compare.

    Args:
      x: (N, F) representations or embeddings of different images.
      rows: at most this many, evenly spaced, enter.

    Returns:
      A number between 1 and min(N, rows, F).

    Raises:
      ValueError: x is not (N >= 2, F >= 2), or not finite.

    Reference:
      Garrido et al. 2023, arXiv:2210.02885.
    """
    x = np.asarray(x)
    if x.ndim != 2 or min(x.shape) < 2:
        raise ValueError(f"x must be (N, F) with at least 2 rows and 2 columns, got {x.shape}")
    if not np.isfinite(x).all():
        raise ValueError("x is not finite; the encoder diverged")
    chosen = np.linspace(0, len(x) - 1, min(len(x), rows)).round().astype(np.int64)
    return float(diagnostics.effective_rank(x[chosen]))
