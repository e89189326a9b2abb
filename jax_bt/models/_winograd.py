"""Convolves with 3x3 windows at stride 1 in 4/9 of the multiplications, by Winograd's F(2x2, 3x3).

A tile of 2x2 results needs 4x4 of the map. With the tile, the kernel and the result transformed by
small fixed matrices B, G and A, the convolution is one product per entry of the 4x4 tile:

    Y = A' [(G k G') * (B' d B)] A

summed over channels: 16 matrix products of (tiles, C) by (C, F) for 36. Both gradients are the
transposes. The matrices' entries are 0, 1 and 1/2, so that rounding is that of the plain sum.

Reference: Lavin & Gray 2015, https://arxiv.org/abs/1509.09308, section 4.1
"""

import functools
import math
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array, lax

from jax_bt import stats
from jax_bt.models._parts import in_parts

Padding = tuple[tuple[int, int], ...]
Grid = list[list[Array]]  # one array per entry of a tile or of a window
Matrix = Sequence[Sequence[float]]

# Transposes as the paper writes them: rows make the entries of the result.
DATA = ((1, 0, -1, 0), (0, 1, 1, 0), (0, -1, 1, 0), (0, 1, 0, -1))  # B'
KERNEL = ((1, 0, 0), (0.5, 0.5, 0.5), (0.5, -0.5, 0.5), (0, 0, 1))  # G
RESULT = ((1, 1, 1, 0), (0, 1, -1, -1))  # A'

LEAST = 2**23  # products of a map's entries and features: below, little is gained by more code
TILES = 2**24  # bytes of transformed tiles at a time: they stay in the cache


def suits(strides: Sequence[int], padding: Padding, x: Array, kernel: Array) -> bool:
    """Whether this convolution gains: by its shape, its precision and its amount of work."""
    *window, channels, features = kernel.shape
    return (
        window == [3, 3]
        and tuple(strides) == (1, 1)
        and all(0 <= pad <= 2 for pads in padding for pad in pads)
        and x.dtype.itemsize >= 4
        and min(channels, features) >= 32
        and math.prod(x.shape) * features >= LEAST
    )


@functools.partial(jax.jit, static_argnames="padding")  # traced once per shape
def convolve(x: Array, kernel: Array, padding: Padding) -> Array:
    """Convolves maps with a kernel at stride 1.

    Args:
      x: (N, H, W, C), float32 or wider.
      kernel: (3, 3, C, F), the same dtype.
      padding: zeros before and after the map, per dimension, 2 at most.

    Returns:
      (N, H', W', F), x's dtype.
    """
    return _convolve(x, _entries(kernel), 0, padding)


@functools.partial(jax.jit, static_argnames="padding")
def gradients(x: Array, kernel: Array, g: Array, padding: Padding) -> tuple[Array, Array]:
    """Of `convolve`'s maps and kernel, for the gradient g (N, H', W', F) of its result."""
    turned = [row[::-1] for row in _entries(kernel)[::-1]]
    of_x = _convolve(g, turned, 1, tuple((2 - a, 2 - b) for a, b in padding))
    return of_x, _kernel_gradient(x, g, padding)


def _kernel_gradient(x: Array, g: Array, padding: Padding) -> Array:
    def add(total: Grid, part: tuple[Array, Array]) -> tuple[Grid, None]:
        x, g = part
        data = _transformed(DATA, _tiles(x, 4, padding))
        results = _transformed(_transposed(RESULT), _tiles(g, 2, ((0, 0), (0, 0))))
        return jax.tree.map(jnp.add, total, _products(data, results, 0, 0)), None

    zero = stats.vary_like(jnp.zeros((x.shape[-1], g.shape[-1]), x.dtype), g)
    total, _ = lax.scan(add, [[zero] * 4] * 4, _parts((x, g), g.shape[1:3], sum(zero.shape)))
    return jnp.stack([jnp.stack(row) for row in _transformed(_transposed(KERNEL), total)])


def _convolve(x: Array, kernel: Grid, axis: int, padding: Padding) -> Array:
    """Sums over this axis of the kernel's (C, F)."""
    height, width = (
        n + before + after - 2 for n, (before, after) in zip(x.shape[1:3], padding, strict=True)
    )
    kernel = _transformed(KERNEL, kernel)
    features = kernel[0][0].shape[1 - axis]

    def convolved(x: Array) -> Array:
        data = _transformed(DATA, _tiles(x, 4, padding))
        out = _transformed(RESULT, _products(data, kernel, 1, axis))
        count, rows, columns, _ = data[0][0].shape
        shape = (count, rows, columns, features)
        y = jnp.stack([jnp.stack([y.reshape(shape) for y in row], axis=3) for row in out], axis=2)
        return y.reshape(count, 2 * rows, 2 * columns, features)[:, :height, :width]

    y = lax.map(convolved, _parts(x, (height, width), x.shape[-1] + features))
    return y.reshape(len(x), height, width, features)


def _parts(arrays: Any, out: Sequence[int], channels: int) -> Any:
    """The examples in parts, by the bytes of their tiles of data and of results together."""
    tiles = math.prod(-(-size // 2) for size in out)
    bytes_each = 16 * tiles * channels * jax.tree.leaves(arrays)[0].dtype.itemsize
    return in_parts(arrays, bytes_each, TILES)


def _entries(kernel: Array) -> Grid:
    return [[kernel[i, j] for j in range(3)] for i in range(3)]


def _transposed(matrix: Matrix) -> Matrix:
    return tuple(zip(*matrix, strict=True))


def _transformed(matrix: Matrix, grid: Grid) -> Grid:
    """The matrix on both sides: along the columns, then along the rows."""
    half = [[_combined(row, column) for column in zip(*grid, strict=True)] for row in matrix]
    return [[_combined(row, entries) for row in matrix] for entries in half]


def _combined(coefficients: Sequence[float], arrays: Sequence[Array]) -> Array:
    terms = [a if c == 1 else c * a for c, a in zip(coefficients, arrays, strict=True) if c]
    return sum(terms[1:], start=terms[0])


def _tiles(x: Array, size: int, padding: Padding) -> Grid:
    """Entry (i, j) of all tiles of this size, which start at every other row and column.

    Returns:
      Arrays (n, rows, columns, C). A map of odd size is filled up with zeros.
    """
    filled = [
        (before, after + (n + before + after) % 2)
        for n, (before, after) in zip(x.shape[1:3], padding, strict=True)
    ]
    x = jnp.pad(x, ((0, 0), *filled, (0, 0)))
    rows, columns = (n - size + 1 for n in x.shape[1:3])
    places = range(size)
    return [[x[:, i : i + rows : 2, j : j + columns : 2] for j in places] for i in places]


def _products(a: Grid, b: Grid, axis_a: int, axis_b: int) -> Grid:
    """Matrix products entry by entry, over one axis of each; space counts as examples."""

    def product(a: Array, b: Array) -> Array:
        # Otherwise XLA transforms once more in each element of the product.
        a, b = (lax.optimization_barrier(m.reshape(-1, m.shape[-1])) for m in (a, b))
        return lax.dot_general(a, b, (((axis_a,), (axis_b,)), ((), ())))

    return [[product(*pair) for pair in zip(*rows, strict=True)] for rows in zip(a, b, strict=True)]
