"""The exact GELU, of a normal distribution function whose gradient is written out."""

import math

import jax
import jax.numpy as jnp
from jax import Array, lax


def gelu(x: Array) -> Array:
    """x P(X <= x) of a standard normal X, as torch's; any floating dtype.

    ``jax.nn.gelu`` has the same values, but jax 0.12 refuses its gradient under ``shard_map`` in
    float32 and float64: a polynomial of ``erfc``'s gradient mixes constants with mapped arrays.

    Reference: Hendrycks and Gimpel 2016, https://arxiv.org/abs/1606.08415
    """
    return x * _below(x)


@jax.custom_jvp
def _below(x: Array) -> Array:
    return 0.5 * lax.erfc(-x * math.sqrt(0.5))


@_below.defjvp
def _below_jvp(primals: tuple[Array], tangents: tuple[Array]) -> tuple[Array, Array]:
    (x,), (tangent,) = primals, tangents
    density = jnp.exp(-jnp.square(x) / 2) * (1 / math.sqrt(2 * math.pi))
    return _below(x), tangent * density
