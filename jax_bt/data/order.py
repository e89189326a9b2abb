"""Computes the order of examples in a run, a pure function of (seed, step)."""

import functools

import numpy as np

from jax_bt.augment import splitmix


def permutation(size: int, *, seed: int, epoch: int) -> np.ndarray:
    """The order of one epoch: the ranks of ``size`` keyed random 64-bit words.

    The words are Philox output, whose stream NumPy guarantees never to change (the methods of
    ``Generator`` carry no such promise), so a run resumed under another NumPy sees the same order.

    Args:
      size: number of examples, > 0.
      seed: of the run, any int.
      epoch: >= 0.

    Returns:
      (size,) int64, every number of ``range(size)`` once.
    """
    words = np.random.Philox(key=np.array([seed % 2**64, epoch], np.uint64)).random_raw(size)
    return np.argsort(words, kind="stable").astype(np.int64)


# Two: near the end of an epoch batches of both epochs are in preparation at the same time.
recent_permutation = functools.lru_cache(maxsize=2)(permutation)


def steps_per_epoch(size: int, global_batch: int) -> int:
    """``size // global_batch``: the incomplete last batch of an epoch is dropped."""
    return size // global_batch


def batch_positions(
    step: int, *, size: int, global_batch: int, process_index: int = 0, process_count: int = 1
) -> tuple[int, np.ndarray]:
    """The epoch of a step and the places in that epoch's order which one process loads.

    Args:
      step: >= 0, counted over the whole run.
      size: number of examples in the split.
      global_batch: examples in a step over all processes, divisible by ``process_count``.
      process_index: of this process, in ``range(process_count)``.
      process_count: number of processes.

    Returns:
      (epoch, (global_batch / process_count,) int64 positions in ``range(size)``).
    """
    epoch, within = divmod(step, steps_per_epoch(size, global_batch))
    local = global_batch // process_count
    first = within * global_batch + process_index * local
    return epoch, np.arange(first, first + local)


def example_seeds(index: np.ndarray, *, seed: int, epoch: int, views: int) -> np.ndarray:
    """Random seeds keyed by (seed, epoch, example index, view), each mixed in by SplitMix64.

    An example's views depend on nothing else: neither on its place in the batch nor on devices,
    processes or threads.

    Args:
      index: (B,) int64 example indices.
      seed: of the run.
      epoch: >= 0.
      views: number of views of an example.

    Returns:
      (B, views, 2) uint32: the two words of a stateless TensorFlow seed or of a JAX threefry key.
    """
    golden = splitmix.GOLDEN  # keeps the word 0 from mapping to itself
    run = splitmix.mix(np.array([(seed + golden) % 2**64], np.uint64))
    run = splitmix.mix(run ^ np.uint64((epoch + golden) % 2**64))
    example = splitmix.mix(run ^ (np.asarray(index).astype(np.uint64) + np.uint64(golden)))
    view = np.arange(1, views + 1, dtype=np.uint64) * np.uint64(golden)
    words = splitmix.mix(example[:, None] ^ view[None])
    return np.stack([words >> np.uint64(32), words & np.uint64(0xFFFFFFFF)], -1).astype(np.uint32)
