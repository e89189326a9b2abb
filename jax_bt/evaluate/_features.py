"""Features of a whole split, from an encoder compiled once."""

from collections.abc import Callable, Iterable, Mapping

import numpy as np
from jax import Array


def extract(
    apply: Callable[[np.ndarray], Array], batches: Iterable[Mapping[str, np.ndarray]]
) -> tuple[np.ndarray, np.ndarray | None, np.ndarray | None]:
    """Runs an encoder over batches and returns all its features in order.

    A short batch is padded to the size of the first and the padding's features are dropped, so a
    jitted ``apply`` compiles once and a sharded one always gets a batch that divides its devices.
    The encoder must treat examples independently (BatchNorm with its running statistics).

    Args:
      apply: images (B, H, W, C) -> features (B, F), any floating dtype; usually jitted.
      batches: {"image": (b, H, W, C) float32, "label": (b,) integer, "index": (b,) integer}, b <=
        the first b; "label" and "index" may be missing.

    Returns:
      Features (N, F) float32, labels (N,) int64 and indices (N,) int64, None where they are
      missing; all on the host.

    Raises:
      ValueError: no batch at all, a batch larger than the first, or features of a wrong shape.
    """
    features = []
    columns: dict[str, list[np.ndarray]] = {"label": [], "index": []}
    size = pending = None
    for batch in batches:
        images = np.asarray(batch["image"])
        count = len(images)
        size = size or count
        if not 0 < count <= size:
            raise ValueError(
                f"a batch of {count} examples after a first of {size}; only the last may be shorter"
            )
        if count < size:  # repeats a real image: its features are finite if the others are
            images = np.concatenate([images, np.repeat(images[-1:], size - count, axis=0)])
        output = apply(images)
        if output.ndim != 2 or output.shape[0] != size:
            raise ValueError(f"the encoder must give ({size}, features), got {output.shape}")
        # One batch is fetched while the next computes; more would pile up on the device.
        if pending is not None:
            features.append(_fetch(*pending))
        pending = output, count
        for name, column in columns.items():
            if name in batch:
                column.append(np.asarray(batch[name]).astype(np.int64))
    if pending is None:
        raise ValueError("no batches: the split is empty")
    features.append(_fetch(*pending))
    labels, index = (np.concatenate(c) if c else None for c in columns.values())
    return np.concatenate(features), labels, index


def _fetch(output: Array, count: int) -> np.ndarray:
    return np.asarray(output)[:count].astype(np.float32)
