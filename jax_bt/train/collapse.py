"""Measures signals of collapse in a step, judges them and words the verdict."""

from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from jax_bt import diagnostics
from jax_bt.methods import Outputs

PREFIX = "collapse/"
KINDS = ("representation", "embedding")
MEANING = {
    "complete": "all images look alike to it",
    "dimensional": "images differ along a few directions only",
}


def measure(outputs: Outputs, due: Array) -> dict[str, Array]:
    """The signals of the first view's representations and embeddings, NaN where not due.

    Args:
      outputs: of a step, global arrays.
      due: whether to measure at this step; if not, it costs nothing.

    Returns:
      Float scalars by name: "collapse/embedding_std", "collapse/representation_effective_rank", ...
      Beside ``diagnostics.Signals`` the spectrum in two numbers: the largest share of the variance
      along one direction, and how many directions hold nine tenths of it.
    """

    def signals() -> dict[str, Array]:
        named = {}
        for kind, z in zip(KINDS, (outputs.representations[0], outputs.embeddings[0]), strict=True):
            shares = diagnostics.spectrum(z)
            values = diagnostics.measure(z)._asdict()
            values["top_direction"] = shares[0]
            values["directions_90"] = jnp.sum(jnp.cumsum(shares) < 0.9).astype(shares.dtype) + 1
            named |= {f"{PREFIX}{kind}_{name}": value for name, value in values.items()}
        return named

    shapes = jax.eval_shape(signals)
    return lax.cond(
        due, signals, lambda: {n: jnp.full((), jnp.nan, shapes[n].dtype) for n in shapes}
    )


def judge(
    signals: diagnostics.Signals,
    *,
    complete: float = 0.05,
    dimensional: float = 0.02,
    correlated: float = 0.9,
    scale: float | None = None,
) -> str:
    """Decides whether a batch has collapsed; on the host.

    Complete: std_ratio < ``complete``. All rows point the same way: 0.05 is a mean cosine of 0.9975
    between different images, which no untrained ReLU network reaches. A loss that sees lengths can
    shrink its embeddings to nothing without turning them: give ``scale`` for those. VICReg on the
    digits holds the scale near 0.55; without its variance term it falls from 0.78 to 0.03, and the
    directions never show it.
    Dimensional: effective_rank < max(2, ``dimensional`` * full_rank), or correlation >
    ``correlated``. The rows spread, but along a line or a handful of directions: VICReg without
    its covariance term reaches a correlation of 0.98.

    Args:
      signals: of one batch, concrete.
      complete: least healthy std_ratio.
      dimensional: least healthy effective rank, as a share of the full rank.
      correlated: largest healthy mean correlation.
      scale: least healthy scale, 0.1 for VICReg's gamma = 1; None for losses of directions or of
        standardised embeddings (Barlow Twins, BYOL, SimCLR, ...), to which lengths mean nothing.

    Returns:
      "none", "dimensional", "complete", or "not finite".
    """
    values = diagnostics.Signals(*(float(value) for value in signals))
    if not np.isfinite(values).all():
        return "not finite"
    if values.std_ratio < complete or (scale is not None and values.scale < scale):
        return "complete"
    if values.effective_rank < max(2.0, dimensional * values.full_rank):
        return "dimensional"
    return "dimensional" if values.correlation > correlated else "none"


def verdict(record: Mapping[str, Any], least_scale: float | None) -> str | None:
    """The worst that a line of the log says of representation and embedding.

    Args:
      record: values by name; those of ``measure`` may be missing.
      least_scale: least healthy deviation of the embeddings, of losses that see lengths.

    Returns:
      "none", "dimensional" or "complete"; None for a line without finite signals.
    """
    found = []
    for kind in KINDS:
        names = {field: f"{PREFIX}{kind}_{field}" for field in diagnostics.Signals._fields}
        if any(record.get(name) is None for name in names.values()):
            return None
        signals = diagnostics.Signals(**{field: record[name] for field, name in names.items()})
        found.append(judge(signals, scale=least_scale if kind == "embedding" else None))
    if "not finite" in found:
        return None
    return max(found, key=("none", "dimensional", "complete").index)


def last_verdict(history: Sequence[Mapping[str, Any]], least_scale: float | None) -> str:
    """The verdict of the newest line that has one, or "not measured"."""
    verdicts = (verdict(record, least_scale) for record in reversed(history))
    return next((found for found in verdicts if found is not None), "not measured")


def words(found: str) -> str:
    """A verdict as a sentence for people."""
    if found not in MEANING:
        return "recovered from collapse"
    return f"{found} collapse: {MEANING[found]} (docs/methods.md, Collapse)"
