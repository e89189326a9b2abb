"""Convolves as flax's Conv does, with matrix products where a CPU's convolutions are slow.

XLA's convolutions on CPUs are slow at four things (figures of two cores, a batch of 256 or 64
images, float32):

- 3x3 windows at stride 1 from 32 channels on: Winograd's transforms (`_winograd`) and products make
  them, and both gradients, 1.4 to 4 times as fast;
- a window that covers the whole map wherever it stands: 3x3 on 2x2 maps, 104 ms against 1.2;
- the gradient of the input, behind a map smaller than the window, 31 ms against 1.4, and at a
  stride, 36 to 185 ms against 28 to 70;
- the gradient of other kernels: 49 to 1,090 ms against 14 to 144 for 1x1 and strided ones, and
  inside of a loop, as micro-batches are, 180 against 2 for 3x3 on 4x4 maps.

The choice is made when a program is compiled, by its platform: programs for TPUs and GPUs have the
same convolutions as flax's. Gradients are reverse-mode alone.
"""

import functools
import itertools
import math
from collections.abc import Iterator
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from flax.linen.dtypes import promote_dtype
from jax import Array, lax

from jax_bt import stats
from jax_bt.models import _winograd
from jax_bt.models._init import kaiming_normal
from jax_bt.models._parts import in_parts

Sizes = tuple[int, ...]
Padding = tuple[tuple[int, int], ...]
PATCHES = 2**22  # bytes of patches at a time: they stay in the cache
STRIDED = 2**29  # products of a convolution from which a strided input's gradient gains


class Conv(nn.Module):
    """A convolution without bias; parameters and results as flax's Conv.

    Attributes:
      features: channels of the result.
      kernel_size: of the window, per dimension.
      strides: of the window, per dimension.
      padding: zeros before and after the map, per dimension.
      dtype: of the computation; None takes the wider of input and parameters.
      param_dtype: of the kernel.
    """

    features: int
    kernel_size: Sizes
    strides: Sizes
    padding: Padding
    dtype: Any = None
    param_dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """(N, *space, C) -> (N, *space / strides, features)."""
        shape = (*self.kernel_size, x.shape[-1], self.features)
        kernel = self.param("kernel", kaiming_normal, shape, self.param_dtype)
        x, kernel = promote_dtype(x, kernel, dtype=self.dtype)
        return conv(x, kernel, self.strides, self.padding)


def conv(x: Array, kernel: Array, strides: Sizes, padding: Padding) -> Array:
    """Convolves maps with a kernel.

    Args:
      x: (N, *space, C), a floating dtype.
      kernel: (*window, C, F), the same dtype.
      strides: of the window, per dimension.
      padding: zeros before and after, per dimension.

    Returns:
      (N, *space / strides, F), x's dtype.
    """
    if not isinstance(x.shape[0], int):  # exported for any batch, as ONNX is: nothing to choose
        return _plain(strides, padding, x, kernel)
    # The kernel's gradient is then summed over the devices outside of the custom gradient.
    return _conv(strides, padding, x, stats.vary_like(kernel, x))


@functools.partial(jax.custom_vjp, nondiff_argnums=(0, 1))
def _conv(strides: Sizes, padding: Padding, x: Array, kernel: Array) -> Array:
    plain = functools.partial(_plain, strides, padding)
    out = _space_out(strides, padding, x, kernel)
    if _covered(strides, padding, x, kernel, out):
        cpu = functools.partial(_covered_product, strides, padding, out)
    elif _winograd.suits(strides, padding, x, kernel):
        cpu = functools.partial(_winograd.convolve, padding=padding)
    else:
        return plain(x, kernel)
    return lax.platform_dependent(x, kernel, cpu=cpu, default=plain)


def _forward(strides: Sizes, padding: Padding, x: Array, kernel: Array) -> tuple:
    return _conv(strides, padding, x, kernel), (x, kernel)


def _backward(strides: Sizes, padding: Padding, kept: tuple, g: Array) -> tuple[Array, Array]:
    x, kernel = kept
    out = g.shape[1:-1]
    plain = functools.partial(_plain, strides, padding)

    def default(x: Array, kernel: Array, g: Array) -> tuple[Array, Array]:
        return jax.vjp(plain, x, kernel)[1](g)

    def cpu(x: Array, kernel: Array, g: Array) -> tuple[Array, Array]:
        if _covered(strides, padding, x, kernel, out):
            covered = functools.partial(_covered_product, strides, padding, out)
            return jax.vjp(covered, x, kernel)[1](g)
        if _winograd.suits(strides, padding, x, kernel):
            return _winograd.gradients(x, kernel, g, padding)
        behind_small = any(o < k for o, k in zip(out, kernel.shape, strict=False))
        strided = any(stride > 1 for stride in strides)
        if behind_small or strided and math.prod(g.shape + kernel.shape[:-1]) >= STRIDED:
            of_x = _input_gradient(strides, padding, x, kernel, g)
        else:
            of_x, _ = default(x, kernel, g)  # what is not used is not computed
        return of_x, _kernel_gradient(strides, padding, x, kernel, g)

    return lax.platform_dependent(x, kernel, g, cpu=cpu, default=default)


_conv.defvjp(_forward, _backward)


def _plain(strides: Sizes, padding: Padding, x: Array, kernel: Array) -> Array:
    space = tuple(range(1, x.ndim - 1))
    maps = (0, x.ndim - 1, *space)
    order = lax.ConvDimensionNumbers(maps, (x.ndim - 1, x.ndim - 2, *range(x.ndim - 2)), maps)
    return lax.conv_general_dilated(x, kernel, strides, padding, dimension_numbers=order)


def _space_out(strides: Sizes, padding: Padding, x: Array, kernel: Array) -> Sizes:
    plain = functools.partial(_plain, strides, padding)
    return jax.eval_shape(plain, x, kernel).shape[1:-1]


def _covered(strides: Sizes, padding: Padding, x: Array, kernel: Array, out: Sizes) -> bool:
    """Whether the window covers the whole map from its last place and from its first.

    For a few examples the layer's weights are more than what they multiply.
    """
    return len(x) >= 16 and all(
        (o - 1) * stride <= before and before + size <= window
        for o, stride, (before, _), size, window in zip(
            out, strides, padding, x.shape[1:-1], kernel.shape, strict=False
        )
    )


def _covered_product(
    strides: Sizes, padding: Padding, out: Sizes, x: Array, kernel: Array
) -> Array:
    """A layer of weights from all of the map to all places: (N, space C) x (space C, out F)."""
    columns = []
    for place in itertools.product(*map(range, out)):
        starts = [
            before - at * stride
            for at, stride, (before, _) in zip(place, strides, padding, strict=True)
        ]
        seen = tuple(slice(a, a + n) for a, n in zip(starts, x.shape[1:-1], strict=True))
        columns.append(kernel[seen].reshape(-1, kernel.shape[-1]))
    y = _product(x.reshape(len(x), -1), jnp.concatenate(columns, axis=1), 1, 0)
    return y.reshape(len(x), *out, -1).astype(x.dtype)


def _input_gradient(strides: Sizes, padding: Padding, x: Array, kernel: Array, g: Array) -> Array:
    """Each place's gradient of its patch, (N out, F) x (F, window C), added where it was cut.

    A few examples at a time.
    """
    *window, channels, features = kernel.shape

    def add(g: Array) -> Array:
        patches = _product(g.reshape(-1, features), kernel.reshape(-1, features), 1, 1)
        patches = patches.reshape(*g.shape[:-1], -1, channels)
        zero = stats.vary_like(jnp.zeros((), patches.dtype), patches)
        total = jnp.zeros((), patches.dtype)
        for i, offsets in enumerate(itertools.product(*map(range, window))):
            gaps = [
                (at - before, size + before - at - (o - 1) * stride - 1, stride - 1)
                for at, (before, _), size, o, stride in zip(
                    offsets, padding, x.shape[1:-1], g.shape[1:-1], strides, strict=True
                )
            ]
            total += lax.pad(patches[..., i, :], zero, ((0, 0, 0), *gaps, (0, 0, 0)))
        return total.astype(x.dtype)

    return lax.map(add, _by_patches(g, kernel, g)).reshape(x.shape)


def _kernel_gradient(strides: Sizes, padding: Padding, x: Array, kernel: Array, g: Array) -> Array:
    """Gradients times patches, (F, N out) x (N out, window C), a few examples at a time."""
    *window, channels, features = kernel.shape
    width = math.prod(window) * channels

    def add(total: Array, part: tuple[Array, Array]) -> tuple[Array, None]:
        x, g = part
        patches = jnp.concatenate([*_cut(strides, padding, window, g.shape[1:-1], x)], axis=-1)
        product = _product(g.reshape(-1, features), patches.reshape(-1, width), 0, 0)
        return total + product, None

    start = jnp.zeros((features, width), stats.wide(x[:0]).dtype)
    total, _ = lax.scan(add, stats.vary_like(start, g), _by_patches((x, g), kernel, g))
    # Without the barrier XLA multiplies patches by gradients, at half the speed.
    total = lax.optimization_barrier(total)
    return total.T.reshape(kernel.shape).astype(kernel.dtype)


def _by_patches(arrays: Any, kernel: Array, g: Array) -> Any:
    """The examples in parts, by the bytes of their patches."""
    bytes_each = math.prod(g.shape[1:-1] + kernel.shape[:-1]) * g.dtype.itemsize
    return in_parts(arrays, bytes_each, PATCHES)


def _cut(
    strides: Sizes, padding: Padding, window: list[int], out: Sizes, x: Array
) -> Iterator[Array]:
    """What the window sees at each of its offsets, (N, *out, C) each."""
    x = jnp.pad(x, ((0, 0), *padding, (0, 0)))
    for offsets in itertools.product(*map(range, window)):
        seen = [
            slice(at, at + (o - 1) * stride + 1, stride)
            for at, o, stride in zip(offsets, out, strides, strict=True)
        ]
        yield x[(slice(None), *seen)]


def _product(a: Array, b: Array, axis_a: int, axis_b: int) -> Array:
    """Matrix product over one axis of each, at least in float32."""
    dtype = jnp.promote_types(a.dtype, jnp.float32)
    return lax.dot_general(a, b, (((axis_a,), (axis_b,)), ((), ())), preferred_element_type=dtype)
