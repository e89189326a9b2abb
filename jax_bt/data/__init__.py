"""Images for training and evaluation: sources, decoding, order and batches.

What needs TensorFlow is imported when it is first used: ``jax_bt.data.names`` answers a mistyped
name without waiting for it.
"""

import importlib
import os
from typing import TYPE_CHECKING, Any

# Decided when TensorFlow is imported: its own kernels round alike for every shape.
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")

from jax_bt.errors import DataError

if TYPE_CHECKING:
    from jax_bt.data.by_name import load
    from jax_bt.data.derived import prepared
    from jax_bt.data.eval_batches import chosen, examples
    from jax_bt.data.order import steps_per_epoch
    from jax_bt.data.sources.arrays import from_arrays
    from jax_bt.data.sources.base import Source
    from jax_bt.data.train_batches import batches

_WHERE = {
    "Source": "sources.base",
    "batches": "train_batches",
    "chosen": "eval_batches",
    "examples": "eval_batches",
    "from_arrays": "sources.arrays",
    "load": "by_name",
    "prepared": "derived",
    "steps_per_epoch": "order",
}

__all__ = [
    "DataError",
    "Source",
    "batches",
    "chosen",
    "examples",
    "from_arrays",
    "load",
    "prepared",
    "steps_per_epoch",
]


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_WHERE[name]}"), name)
