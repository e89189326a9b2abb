"""Images in: sources, decoding, order and views. The only package that uses TensorFlow."""

import os

# TensorFlow only decodes and augments here: its notices say nothing to our users, and its errors
# (a warning for every damaged image) arrive as exceptions, which we name.
if os.environ.get("TF_CPP_MIN_LOG_LEVEL", "1") == "1":  # which JAX sets when it is imported
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")

from jax_bt.data.batches import batches
from jax_bt.data.eval_batches import examples
from jax_bt.data.load import load
from jax_bt.data.order import steps_per_epoch
from jax_bt.data.sources.arrays import from_arrays
from jax_bt.data.sources.base import UNLABELLED, Source
from jax_bt.errors import DataError

__all__ = [
    "UNLABELLED",
    "DataError",
    "Source",
    "batches",
    "examples",
    "from_arrays",
    "load",
    "steps_per_epoch",
]


def chosen(source, split, index, recipe):
    import numpy as np

    found = {}
    for batch in examples(source, split, size=recipe.size, recipe=recipe):
        found |= dict(zip(batch["index"].tolist(), batch["image"]))
    return np.stack([found[int(i)] for i in index])
