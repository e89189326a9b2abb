"""Checks the arguments of losses.

An option that a user chose raises UsageError (a ValueError that a run reports in one line). An
array of the wrong shape or dtype raises ValueError: a bug of the caller.
"""

import jax.numpy as jnp
from jax import Array
from jax.core import Tracer

from jax_bt import stats
from jax_bt.errors import UsageError


def floating(name: str, x: Array, axes: str) -> Array:
    """Checks dtype and rank of one argument and widens it to the dtype of statistics.

    Args:
      name: what the caller knows the argument as.
      x: the argument, an array of jax or numpy.
      axes: one word per axis, for example "N D".

    Returns:
      x in float32, or in float64 if it is that.

    Raises:
      ValueError: x is not floating, has another rank, or has an axis of length 0.
    """
    x = jnp.asarray(x)
    if not jnp.issubdtype(x.dtype, jnp.floating):
        raise ValueError(f"{name} is {x.dtype}: a loss needs a floating dtype, cast it first")
    if x.ndim != len(axes.split()) or 0 in x.shape:
        shape = ", ".join(axes.split())
        raise ValueError(f"{name} has shape {x.shape}: expected ({shape}), no axis empty")
    return stats.wide(x)


def embeddings(
    *, axis_name: str | None = None, minimum: int = 1, same_width: bool = True, **named: Array
) -> tuple[Array, ...]:
    """Checks embeddings of one batch and widens them to the dtype of statistics.

    Args:
      axis_name: mapped axis over which the batch is sharded, or None.
      minimum: least number of examples in the GLOBAL batch.
      same_width: False lets the arrays differ in D.
      **named: the arguments by name, each (N, D).

    Returns:
      The arrays in the order given, in float32 or, for float64, float64.

    Raises:
      ValueError: an array is not floating, is not (N, D), or differs in shape from the first.
      UsageError: the global batch is smaller than ``minimum``.
    """
    arrays = [floating(name, x, "N D") for name, x in named.items()]
    compared = arrays if same_width else [x[:, :1] for x in arrays]
    same_shape(**dict(zip(named, compared, strict=True)))
    count = arrays[0].shape[0] * stats.axis_size(axis_name)
    if count < minimum:
        raise UsageError(f"the batch has N={count} examples: this loss needs at least {minimum}")
    return tuple(arrays)


def same_shape(**named: Array) -> None:
    """Raises ValueError unless all arguments have the shape of the first."""
    (first, x), *others = named.items()
    for name, y in others:
        if y.shape != x.shape:
            raise ValueError(
                f"{name} has shape {y.shape} but {first} has {x.shape}: they must be equal"
            )


def positive(**named: float | Array) -> None:
    """Raises UsageError for an option that is not above zero; a traced one cannot be checked."""
    for name, value in named.items():
        if not isinstance(value, Tracer) and not value > 0:
            raise UsageError(f"{name}={value} must be above 0")


def one_of(name: str, value: str, choices: tuple[str, ...]) -> None:
    """Raises UsageError unless the option is one of its choices."""
    if value not in choices:
        raise UsageError(f"{name}={value!r} is unknown: choose one of {', '.join(choices)}")


def precision(value: str | None) -> None:
    """Raises UsageError unless the precision is one that jax knows."""
    if value is not None:
        one_of("precision", value, ("default", "high", "highest"))
