"""Extracts the features of a whole split by an encoder that is compiled once."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import jax
import numpy as np
from jax import Array
from jax.sharding import Mesh

from jax_bt.devices.mesh import sharded
from jax_bt.evaluate._placement import gathered, padded

Batches = Iterable[Mapping[str, np.ndarray]]


def extract(
    apply: Callable[[Array], Array], batches: Batches, mesh: Mesh | None = None
) -> tuple[np.ndarray, np.ndarray | None, np.ndarray | None]:
    """Runs an encoder over batches and returns all its features in order.

    A short batch is padded to the size of the first and the padding's features are dropped, so a
    jitted ``apply`` compiles once. With a mesh each batch is spread over its devices, and padded to
    a size that divides over them. The encoder must treat examples independently (BatchNorm with its
    running statistics).

    Args:
      apply: images (B, H, W, C) -> features (B, F), any floating dtype; usually jitted.
      batches: {"image": (b, H, W, C) float32, "label": (b,) integer, "index": (b,) integer}, b <=
        the first b; "label" and "index" may be missing. Each process of the mesh gives its own.
      mesh: of the devices of all processes; None for the default device.

    Returns:
      Features (N, F) float32, labels (N,) int64 and indices (N,) int64, None where they are
      missing; on the host, those of all processes in the order of the indices.

    Raises:
      ValueError: no batch at all, a batch larger than the first, or features of a wrong shape.
    """
    columns: dict[str, list[np.ndarray]] = {"features": [], "label": [], "index": []}
    pairs = in_turn(apply, batches) if mesh is None else _on_mesh(apply, batches, mesh)
    for batch, rows in pairs:
        columns["features"].append(rows)
        for name in ("label", "index"):
            if name in batch:
                columns[name].append(np.asarray(batch[name]).astype(np.int64))
    if not columns["features"]:
        raise ValueError("no batches: the split is empty")
    found = {name: np.concatenate(column) for name, column in columns.items() if column}
    if mesh is not None and mesh.size > len(mesh.local_devices):
        found = {name: gathered(column) for name, column in found.items()}
        if "index" in found:
            order = np.argsort(found["index"], kind="stable")
            found = {name: column[order] for name, column in found.items()}
    return found["features"], found.get("label"), found.get("index")


def in_turn(
    apply: Callable[[Any], Array], batches: Batches
) -> Iterator[tuple[Mapping[str, np.ndarray], np.ndarray]]:
    """Yields each batch with its features, while the next batch is already being computed.

    A short batch is padded to the size of the first, so a jitted ``apply`` compiles once.

    Args:
      apply: images (B, H, W, C) -> features (B, F), any floating dtype; usually jitted.
      batches: as of ``extract``.

    Yields:
      The batch and its features (b, F) float32 on the host.

    Raises:
      ValueError: a batch larger than the first, or features of a wrong shape.
    """

    def dispatched() -> Iterator[tuple[Mapping[str, np.ndarray], Array]]:
        size = 0
        for batch in batches:
            images = np.asarray(batch["image"])
            size, count = size or len(images), len(images)
            if not 0 < count <= size:
                raise ValueError(
                    f"a batch of {count} examples after a first of {size}; only the last may be "
                    "shorter"
                )
            if count < size:  # repeats a real image: its features are finite if the others are
                images = np.concatenate([images, np.repeat(images[-1:], size - count, axis=0)])
            yield batch, _checked(apply(images), size)

    for batch, output in _one_behind(dispatched()):
        yield batch, np.asarray(output)[: len(batch["image"])].astype(np.float32)


def _one_behind(items: Iterator[Any]) -> Iterator[Any]:
    """Each item when the next one is made: one batch is fetched while the next computes.

    More than two would pile up on the device.
    """
    pending = next(items, None)
    for item in items:
        yield pending
        pending = item
    if pending is not None:
        yield pending


def _on_mesh(
    apply: Callable[[Any], Array], batches: Batches, mesh: Mesh
) -> Iterator[tuple[Mapping[str, np.ndarray], np.ndarray]]:
    own: deque[Mapping[str, np.ndarray]] = deque()  # this process's batches under way

    def numbered() -> Iterator[dict[str, np.ndarray]]:
        """Rows are numbered, and padding gets a negative number."""
        for batch in batches:
            own.append(batch)
            images = np.asarray(batch["image"])
            yield {"image": images, "label": np.arange(len(images), dtype=np.int32)}

    def dispatched() -> Iterator[tuple[Array, Array]]:
        for batch in padded(mesh, numbered()):
            output = _checked(apply(batch["image"]), len(batch["label"]))
            yield jax.device_put(output, sharded(mesh)), batch["label"]

    for output, number in _one_behind(dispatched()):
        if own:  # of processes with fewer batches the last ones are padding
            yield own.popleft(), _own_rows(output, number)


def _own_rows(output: Array, number: Array) -> np.ndarray:
    """This process's rows without the padding."""

    def own(x: Array) -> np.ndarray:
        shards = sorted(x.addressable_shards, key=lambda shard: shard.index[0].start or 0)
        return np.concatenate([np.asarray(shard.data) for shard in shards])

    return own(output)[own(number) >= 0].astype(np.float32)


def _checked(output: Array, size: int) -> Array:
    if output.ndim != 2 or output.shape[0] != size:
        raise ValueError(f"the encoder must give ({size}, features), got {output.shape}")
    return output
