"""Splits examples into parts whose intermediate arrays stay in a CPU's cache."""

from typing import Any

import jax


def in_parts(arrays: Any, bytes_each: int, limit: int) -> Any:
    """Arrays (N, ...) as (N / n, n, ...), for a loop over the parts.

    Args:
      arrays: a tree of arrays with the same examples, N of them.
      bytes_each: what the loop's body makes of one example.
      limit: bytes per part; n is the largest divisor of N that keeps to it, and at least 1.
    """
    count = len(jax.tree.leaves(arrays)[0])
    fit = (n for n in range(1, count + 1) if count % n == 0 and n * bytes_each <= limit)
    step = max(fit, default=1)
    return jax.tree.map(lambda a: a.reshape(-1, step, *a.shape[1:]), arrays)
