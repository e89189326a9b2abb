"""Weighted cosine nearest neighbours: the evaluation without a single trained parameter."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from numpy.typing import ArrayLike

from jax_bt.evaluate._checks import labelled_features


def knn(
    train_x: ArrayLike,
    train_y: ArrayLike,
    test_x: ArrayLike,
    test_y: ArrayLike,
    k: int = 200,
    temperature: float = 0.1,
    *,
    chunk: int = 16384,
) -> dict[str, float]:
    """Accuracy of a vote of the k nearest training examples by cosine similarity.

    score(c | x) = sum over the k nearest i with y_i = c of exp(cos(x, x_i) / T)

    The bank goes to the device ``chunk`` rows at a time, and each chunk meets 1,024 test rows at a
    time, keeping the best k so far: for ImageNet (1.28 million x 50,000) 64 MiB of similarities at
    once, not 256 GB. Similarities are float32 at full precision on every backend.

    Args:
      train_x: (N, F) features of the bank, any floating dtype; normalised to length 1 here.
      train_y: (N,) integer labels.
      test_x: (M, F) features to classify.
      test_y: (M,) integer labels.
      k: neighbours that vote; more than N means all N, as in the reference.
      temperature: T > 0.
      chunk: rows of the bank compared at once.

    Returns:
      {"top1": percent, "top5": percent}. Classes with equal scores rank by their number. With fewer
      than five neighbours "top5" looks at the first k classes only, as the reference.

    Raises:
      ValueError: k or temperature not positive, shapes that do not fit, features not finite.

    Reference:
      Wu et al. 2018, arXiv:1805.01978, section 3.4; solo-learn's WeightedKNNClassifier.
    """
    if k < 1:
        raise ValueError(f"k must be at least 1 neighbour, got {k}")
    if not temperature > 0:
        raise ValueError(f"temperature must be positive, got {temperature}")
    if chunk < 1:
        raise ValueError(f"chunk must be at least 1 row, got {chunk}")
    train_x, train_y, test_x, test_y = labelled_features(train_x, train_y, test_x, test_y)
    k = min(k, len(train_x))
    classes = int(max(train_y.max(), test_y.max())) + 1
    chunk = min(chunk, len(train_x))
    rows = min(1024, len(test_x))

    queries = jnp.asarray(_blocks(_normalised(test_x), rows))  # (blocks, rows, F)
    wanted = jnp.asarray(_blocks(test_y.astype(np.int32), rows))
    best = (
        jnp.full((*queries.shape[:2], k), -jnp.inf, queries.dtype),
        jnp.zeros((*queries.shape[:2], k), jnp.int32),
    )
    for start in range(0, len(train_x), chunk):
        bank = _normalised(train_x[start : start + chunk])
        labels = train_y[start : start + chunk].astype(np.int32)
        best = _nearer(
            best, queries, _blocks(bank, chunk)[0], _blocks(labels, chunk)[0], len(bank), k=k
        )
    rank = _ranks(*best, wanted, temperature, classes=classes)
    rank = np.asarray(rank).reshape(-1)[: len(test_x)]
    top = min(5, k)
    return {"top1": 100.0 * float(np.mean(rank < 1)), "top5": 100.0 * float(np.mean(rank < top))}


@functools.partial(jax.jit, static_argnames="k", donate_argnums=0)
def _nearer(
    best: tuple[Array, Array], queries: Array, bank: Array, labels: Array, valid: int, *, k: int
) -> tuple[Array, Array]:
    """Merges one chunk of the bank, of which the first ``valid`` rows count, into the best k."""

    def one_block(block):
        query, similarity, label = block
        new = jnp.matmul(query, bank.T, precision=lax.Precision.HIGHEST)
        new = jnp.where(jnp.arange(len(bank)) < valid, new, -jnp.inf)
        # The earlier chunks come first, so equal similarities keep the bank's order.
        top, index = lax.top_k(jnp.concatenate([similarity, new], axis=1), k)
        label = jnp.concatenate([label, jnp.broadcast_to(labels, new.shape)], axis=1)
        return top, jnp.take_along_axis(label, index, axis=1)

    return lax.map(one_block, (queries, *best))


@functools.partial(jax.jit, static_argnames="classes")
def _ranks(
    similarity: Array, label: Array, wanted: Array, temperature: float, *, classes: int
) -> Array:
    """Position of the right class among the scores, 0 for the best; (blocks, rows)."""

    def one_block(block):
        similarity, label, wanted = block
        # exp(1 / 0.01) overflows float32; relative to the nearest the order is the same, and the
        # smallest normal number keeps a faint vote above no vote.
        votes = jnp.exp((similarity - similarity[:, :1]) / temperature)
        votes = jnp.maximum(votes, jnp.finfo(votes.dtype).tiny)
        row = jnp.arange(len(label))[:, None]
        scores = jnp.zeros((len(label), classes), votes.dtype).at[row, label].add(votes)
        own = scores[row, wanted[:, None]]
        earlier = jnp.arange(classes) < wanted[:, None]
        return jnp.sum((scores > own) | ((scores == own) & earlier), axis=1)

    return lax.map(one_block, (similarity, label, wanted))


def _normalised(x: np.ndarray) -> np.ndarray:
    """Rows of length 1; a zero row stays zero."""
    return x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-12)


def _blocks(x: np.ndarray, rows: int) -> np.ndarray:
    """Cuts (N, ...) into (blocks, rows, ...), the last block filled with zeros."""
    missing = -len(x) % rows
    padded = np.concatenate([x, np.zeros((missing, *x.shape[1:]), x.dtype)])
    return padded.reshape(-1, rows, *x.shape[1:])
