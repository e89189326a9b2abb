"""The exact GELU with its gradient written out."""

import math

import jax
import jax.numpy as jnp
from jax import Array, lax


@jax.custom_jvp
def gelu(x: Array) -> Array:
    """x P(X <= x) of a standard normal X, as torch's; any floating dtype.

    ``jax.nn.gelu`` has the same values, but jax 0.12 refuses its gradient under ``shard_map`` in
    float32 and float64: a polynomial of ``erfc``'s gradient mixes constants with mapped arrays.

    Reference: Hendrycks and Gimpel 2016, https://arxiv.org/abs/1606.08415
    """
    return x * _below(x)


@gelu.defjvp
def _gelu_jvp(primals: tuple[Array], tangents: tuple[Array]) -> tuple[Array, Array]:
    (x,), (tangent,) = primals, tangents
    density = jnp.exp(-jnp.square(x) / 2) * (1 / math.sqrt(2 * math.pi))
    return gelu(x), tangent * (_below(x) + x * density)


def _below(x: Array) -> Array:
    return 0.5 * lax.erfc(-x * math.sqrt(0.5))
