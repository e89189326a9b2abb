"""Lays batches and features on the devices of all processes."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import jax
import numpy as np
from jax import Array
from jax.experimental import multihost_utils
from jax.sharding import Mesh, NamedSharding

from jax_bt.devices.mesh import make_mesh, replicated, to_global
from jax_bt.errors import DataError, UsageError

PADDING = -1  # the label of rows that only fill a batch


def mesh_or_own(mesh: Mesh | None) -> Mesh:
    """The mesh, or one of this process's devices: others may not be here to take part."""
    return make_mesh(jax.local_devices()) if mesh is None else mesh


def put(x: np.ndarray, sharding: NamedSharding) -> Array:
    """A global array of what every process holds whole."""
    x = np.asarray(x, jax.dtypes.canonicalize_dtype(x.dtype))
    return jax.make_array_from_callback(x.shape, sharding, lambda index: x[index])


def exact(mesh: Mesh, batch: Mapping[str, Any], classes: int) -> dict[str, Array]:
    """A training batch as it is: nothing is added that batch statistics would see.

    It is spread over the devices; one that does not divide over the devices of a single process
    lies whole on each of them, which costs time and no accuracy.

    Args:
      mesh: of all processes' devices.
      batch: this process's part of the global batch, (n, ...) arrays; n is the same everywhere.
      classes: number of classes K.

    Raises:
      DataError: a label that is not one of 0 .. K - 1.
      UsageError: a batch of several processes that does not divide over the devices.
    """
    batch = {name: np.asarray(x) for name, x in batch.items()}
    _check_labels(batch["label"], 0, classes)
    count = len(batch["label"])
    if count % len(mesh.local_devices) == 0:
        return to_global(mesh, batch)
    if jax.process_count() > 1 and mesh.size > len(mesh.local_devices):
        raise UsageError(
            f"a batch of {count} examples per process does not divide over "
            f"{len(mesh.local_devices)} devices: leave incomplete batches out"
        )
    return {name: put(x, replicated(mesh)) for name, x in batch.items()}


def padded(
    mesh: Mesh, batches: Iterable[Mapping[str, Any]], classes: int | None = None
) -> Iterator[dict[str, Array]]:
    """Batches to test on, all of one size: short ones are filled with rows labelled PADDING.

    Processes may have different numbers of batches; all of them yield as many as the longest.

    Args:
      mesh: of all processes' devices.
      batches: this process's {"image": (n, ...), "label": (n, ...) integer}, n <= the first n.
        Examples without a label have PADDING's.
      classes: number of classes K; None for labels of any size.

    Yields:
      Global {"image", "label"}, sharded along the first dimension.

    Raises:
      DataError: a label that is neither PADDING nor one of 0 .. K - 1.
      ValueError: no batch at all, or one larger than the first.
    """
    iterator = iter(batches)
    batch = next(iterator, None)
    if batch is None:
        raise ValueError("no batches to test on: the split is empty")
    most = len(batch["label"])
    size = -(-most // len(mesh.local_devices)) * len(mesh.local_devices)
    # A real image fills the batches: its features are finite if the others are.
    image = np.repeat(np.asarray(batch["image"])[:1], size, axis=0)
    label = np.full((size, *np.shape(batch["label"])[1:]), PADDING, np.int32)
    while _anyone(mesh, batch is not None):
        filled = {"image": image.copy(), "label": label.copy()}
        if batch is not None:
            count = len(batch["label"])
            if not 0 < count <= most:
                raise ValueError(
                    f"a batch of {count} examples after a first of {most}; only the last may be "
                    "shorter"
                )
            _check_labels(np.asarray(batch["label"]), PADDING, classes)
            for name, rows in filled.items():
                rows[:count] = batch[name]
        yield to_global(mesh, filled)
        batch = next(iterator, None)


def _anyone(mesh: Mesh, here: bool) -> bool:
    """Whether any process of the mesh says yes."""
    if mesh.size == len(mesh.local_devices):
        return here
    return bool(multihost_utils.process_allgather(np.array(here)).any())


def _check_labels(label: np.ndarray, least: int, classes: int | None) -> None:
    most = np.inf if classes is None else classes - 1
    wrong = label[(label < least) | (label > most)]
    if wrong.size:
        raise DataError(
            f"the label {wrong[0]} is not one of 0 .. {most}, those of {classes} classes"
        )


def gathered(x: np.ndarray) -> np.ndarray:
    """The rows of all processes, in the order of the processes; numbers of rows may differ."""
    if jax.process_count() == 1:
        return x
    counts = multihost_utils.process_allgather(np.array(len(x)))
    filled = np.zeros((counts.max(), *x.shape[1:]), x.dtype)
    filled[: len(x)] = x
    parts = multihost_utils.process_allgather(filled)
    return np.concatenate([part[:count] for part, count in zip(parts, counts, strict=True)])
