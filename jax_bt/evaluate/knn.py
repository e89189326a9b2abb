"""Classifies by weighted nearest neighbours, without a single trained parameter."""

import dataclasses
import functools
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P
from numpy.typing import ArrayLike

from jax_bt.devices.mesh import AXIS, replicated
from jax_bt.evaluate._checks import labelled_features
from jax_bt.evaluate._placement import mesh_or_own, put
from jax_bt.evaluate._presets import Preset

TITLE = "kNN"
NEEDS = "features"
DISTANCES = ("cosine", "euclidean")
SPREAD = P(None, AXIS)  # blocks of rows: every device has a share of each block


@dataclasses.dataclass(frozen=True, kw_only=True)
class Neighbours(Preset):
    """Numbers of the protocol: the arguments of ``knn_several``."""

    ks: tuple[int, ...]
    temperature: float = 0.1
    distance: str = "cosine"


PRESETS = {
    "": Neighbours(title=TITLE, ks=(200,), source="Wu et al. 2018, arXiv:1805.01978"),
    "vicreg": Neighbours(
        title="kNN of VICReg",
        ks=(20, 200),
        source="VICReg, table 11; centre crops of 224",
        published={
            "BYOL": {"top1_20": 66.7, "top1_200": 64.9},
            "SwAV": {"top1_20": 65.7, "top1_200": 62.7},
            "Barlow Twins": {"top1_20": 64.8, "top1_200": 62.9},
            "VICReg": {"top1_20": 64.5, "top1_200": 62.8},
        },
    ),
    "lightly": Neighbours(
        title="kNN of lightly",
        ks=(200,),
        source="lightly's ImageNet benchmark, 100 epochs, batch 256",
        published={
            "Barlow Twins": {"top1_200": 45.6},
            "VICReg": {"top1_200": 46.3},
            "BYOL": {"top1_200": 46.0},
            "SimCLR": {"top1_200": 44.8},
            "SwAV": {"top1_200": 49.5},
        },
    ),
}


def preset(name: str) -> Neighbours | None:
    """ "<k>" for the first preset with another k; None for other names."""
    if not (name.isdecimal() and int(name) > 0):
        return None
    return dataclasses.replace(PRESETS[""], ks=(int(name),), title=f"kNN, k = {int(name)}")


def run(
    train_x: ArrayLike,
    train_y: ArrayLike,
    test_x: ArrayLike,
    test_y: ArrayLike,
    preset: Neighbours,
    *,
    mesh: Mesh | None = None,
) -> dict[str, float]:
    """The protocol on features; see ``knn_several``.

    Returns:
      {"top1", "top5"} of the first k, and with several "top1_<k>", "top5_<k>" of each.
    """
    options = {"distance": preset.distance, "mesh": mesh}
    arrays = (train_x, train_y, test_x, test_y)
    scores = knn_several(*arrays, preset.ks, preset.temperature, **options)
    found = dict(scores[preset.ks[0]])
    if len(scores) > 1:
        found |= {f"{name}_{k}": value for k, s in scores.items() for name, value in s.items()}
    return found


def knn(
    train_x: ArrayLike,
    train_y: ArrayLike,
    test_x: ArrayLike,
    test_y: ArrayLike,
    k: int = 200,
    temperature: float = 0.1,
    *,
    distance: str = "cosine",
    chunk: int = 16384,
    mesh: Mesh | None = None,
) -> dict[str, float]:
    """Accuracy of a vote of the k nearest training examples.

    score(c | x) = sum over the k nearest i with y_i = c of exp(cos(x, x_i) / T), or of
    1 / (|x - x_i| + 1e-5) for ``distance="euclidean"``

    Args: as ``knn_several``, but for
      k: neighbours that vote; more than N means all N, as in the reference.

    Returns:
      {"top1": percent, "top5": percent}. Classes with equal scores rank by their number. With fewer
      than five neighbours "top5" looks at the first k classes only, as the reference.

    Raises:
      ValueError: k or temperature not positive, shapes that do not fit, features not finite.

    Reference:
      Wu et al. 2018, arXiv:1805.01978, section 3.4; solo-learn's WeightedKNNClassifier.
    """
    arrays, options = (train_x, train_y, test_x, test_y), {"chunk": chunk, "mesh": mesh}
    return knn_several(*arrays, (k,), temperature, distance=distance, **options)[k]


def knn_several(
    train_x: ArrayLike,
    train_y: ArrayLike,
    test_x: ArrayLike,
    test_y: ArrayLike,
    ks: Sequence[int] = (20, 200),
    temperature: float = 0.1,
    *,
    distance: str = "cosine",
    chunk: int = 16384,
    mesh: Mesh | None = None,
) -> dict[int, dict[str, float]]:
    """``knn`` for several k, from one search for the largest.

    The test examples are spread over the devices. The bank passes them ``chunk`` rows at a time,
    and each chunk meets 1,024 test rows at a time, which keep the best k so far: for ImageNet (1.28
    million x 50,000) 64 MiB of similarities at once, not 256 GB. Similarities are float32 at full
    precision on every backend, and the same on any number of devices.

    Args:
      train_x: (N, F) features of the bank, any floating dtype; every process gives them all.
      train_y: (N,) integer labels.
      test_x: (M, F) features to classify.
      test_y: (M,) integer labels.
      ks: numbers of neighbours that vote.
      temperature: T > 0, which the euclidean vote does not look at.
      distance: "cosine", of rows normalised to length 1 here, or "euclidean", of rows as they are.
      chunk: rows of the bank compared at once.
      mesh: the devices to use; None for those of this process.

    Returns:
      The result of ``knn`` by k.

    Raises:
      ValueError: as ``knn``.
    """
    if not ks or min(ks) < 1:
        raise ValueError(f"k must be at least 1 neighbour, got {', '.join(map(str, ks)) or 'none'}")
    if not temperature > 0:
        raise ValueError(f"temperature must be positive, got {temperature}")
    if chunk < 1:
        raise ValueError(f"chunk must be at least 1 row, got {chunk}")
    if distance not in DISTANCES:
        raise ValueError(f"distance={distance!r} is not one of {', '.join(DISTANCES)}")
    train_x, train_y, test_x, test_y = labelled_features(train_x, train_y, test_x, test_y)
    mesh = mesh_or_own(mesh)
    most = min(max(ks), len(train_x))
    classes = int(max(train_y.max(), test_y.max())) + 1
    chunk = min(chunk, len(train_x))
    # Every device gets the same number of rows of each block.
    rows = -(-min(1024, len(test_x)) // mesh.size) * mesh.size
    spread, everywhere = NamedSharding(mesh, SPREAD), replicated(mesh)
    # Moving the origin changes no distance and keeps the digits that |q|^2 + |b|^2 - 2qb needs.
    origin = train_x.mean(axis=0) if distance == "euclidean" else None

    queries = put(_blocks(_prepared(test_x, origin), rows), spread)  # (blocks, rows, F)
    wanted = put(_blocks(test_y.astype(np.int32), rows), spread)
    shape = (*queries.shape[:2], most)
    best = (
        jnp.full(shape, -jnp.inf, queries.dtype, device=spread),
        jnp.zeros(shape, jnp.int32, device=spread),
    )
    for start in range(0, len(train_x), chunk):
        bank = _prepared(train_x[start : start + chunk], origin)
        labels = train_y[start : start + chunk].astype(np.int32)
        best = _nearer(
            best,
            queries,
            put(_blocks(bank, chunk)[0], everywhere),
            put(_blocks(labels, chunk)[0], everywhere),
            len(bank),
            distance=distance,
            mesh=mesh,
        )
    scores = {}
    for k in ks:
        top = min(5, k, most)
        rank = _ranks(
            *best, wanted, temperature, k=min(k, most), classes=classes, distance=distance
        )
        rank = np.asarray(jax.device_put(rank, everywhere)).reshape(-1)[: len(test_x)]
        accuracy = [100.0 * float(np.mean(rank < n)) for n in (1, top)]
        scores[k] = dict(zip(("top1", "top5"), accuracy, strict=True))
    return scores


@functools.partial(jax.jit, static_argnames=("distance", "mesh"), donate_argnums=0)
def _nearer(
    best: tuple[Array, Array],
    queries: Array,
    bank: Array,
    labels: Array,
    valid: int,
    *,
    distance: str,
    mesh: Mesh,
) -> tuple[Array, Array]:
    """Merges one chunk of the bank, of which the first ``valid`` rows count, into the best k.

    What is kept is the cosine, or minus the squared distance.
    """

    def one_block(block, bank, labels, valid):
        query, similarity, label = block
        new = jnp.matmul(query, bank.T, precision=lax.Precision.HIGHEST)
        if distance == "euclidean":
            squares = [jnp.sum(jnp.square(x), axis=1) for x in (query, bank)]
            new = jnp.minimum(2 * new - squares[0][:, None] - squares[1], 0)
        new = jnp.where(jnp.arange(len(bank)) < valid, new, -jnp.inf)
        # The earlier chunks come first, so equal similarities keep the bank's order.
        top, index = lax.top_k(jnp.concatenate([similarity, new], axis=1), similarity.shape[1])
        label = jnp.concatenate([label, jnp.broadcast_to(labels, new.shape)], axis=1)
        return top, jnp.take_along_axis(label, index, axis=1)

    def one_device(blocks, *bank):
        return lax.map(lambda block: one_block(block, *bank), blocks)

    # Left to jit, the compiler gathers every similarity on every device before top_k.
    apart = jax.shard_map(one_device, mesh=mesh, in_specs=(SPREAD, P(), P(), P()), out_specs=SPREAD)
    return apart((queries, *best), bank, labels, valid)


@functools.partial(jax.jit, static_argnames=("k", "classes", "distance"))
def _ranks(
    similarity: Array,
    label: Array,
    wanted: Array,
    temperature: float,
    *,
    k: int,
    classes: int,
    distance: str,
) -> Array:
    """Position of the right class among the scores, 0 for the best; (blocks, rows)."""

    def one_row(similarity, label, wanted):
        if distance == "euclidean":
            votes = 1 / (jnp.sqrt(-similarity) + 1e-5)
        else:
            # exp(1 / 0.01) overflows float32; relative to the nearest the order is the same, and
            # the smallest normal number keeps a faint vote above no vote.
            votes = jnp.exp((similarity - similarity[0]) / temperature)
            votes = jnp.maximum(votes, jnp.finfo(votes.dtype).tiny)
        scores = jnp.zeros(classes, votes.dtype).at[label].add(votes)
        own = scores[wanted]
        return jnp.sum((scores > own) | ((scores == own) & (jnp.arange(classes) < wanted)))

    def one_block(block):
        return jax.vmap(one_row)(*block)

    return lax.map(one_block, (similarity[..., :k], label[..., :k], wanted))


def _prepared(x: np.ndarray, origin: np.ndarray | None) -> np.ndarray:
    """Rows of length 1, a zero row staying zero; or, with an origin, rows seen from there."""
    if origin is not None:
        return x - origin
    return x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-12)


def _blocks(x: np.ndarray, rows: int) -> np.ndarray:
    """Cuts (N, ...) into (blocks, rows, ...), the last block filled with zeros."""
    missing = -len(x) % rows
    padded = np.concatenate([x, np.zeros((missing, *x.shape[1:]), x.dtype)])
    return padded.reshape(-1, rows, *x.shape[1:])
