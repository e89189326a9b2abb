"""Collapse in a run's log: the signals a step measures, and what a line of them says."""

from collections.abc import Mapping, Sequence
from types import ModuleType
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array, lax

from jax_bt import diagnostics
from jax_bt.methods._networks import Outputs

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


def verdict(record: Mapping[str, Any], method: ModuleType) -> str | None:
    """The worst that a line of the log says of representation and embedding.

    Args:
      record: values by name; those of ``measure`` may be missing.
      method: its LEAST_SCALE, if it has one, is the least healthy deviation of the embeddings:
        for losses that see lengths.

    Returns:
      "none", "dimensional" or "complete"; None for a line without signals.
    """
    found = []
    for kind in KINDS:
        names = {field: f"{PREFIX}{kind}_{field}" for field in diagnostics.Signals._fields}
        if any(record.get(name) is None for name in names.values()):
            return None
        signals = diagnostics.Signals(**{field: record[name] for field, name in names.items()})
        scale = getattr(method, "LEAST_SCALE", None) if kind == "embedding" else None
        found.append(diagnostics.collapse(signals, scale=scale))
    return max(found, key=("none", "dimensional", "complete").index)


def last_verdict(history: Sequence[Mapping[str, Any]], method: ModuleType) -> str:
    """The verdict of the newest line that has one, or "not measured"."""
    verdicts = (verdict(record, method) for record in reversed(history))
    return next((found for found in verdicts if found is not None), "not measured")
