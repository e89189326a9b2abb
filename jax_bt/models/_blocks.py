"""What the blocks of ViT and ConvNeXt share: initial weights, norm, MLP, attention, drop path."""

from collections.abc import Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import Array

from jax_bt import stats
from jax_bt.models._gelu import gelu
from jax_bt.models._init import normal

# Standard deviation of every weight. Both references truncate at +-2, a hundred deviations away.
SPREAD = 0.02
RNG = "drop_path"


def dense(features: int, name: str, types: dict[str, Any]) -> nn.Dense:
    """A linear layer with bias whose weights start from N(0, 0.02^2), biases from 0."""
    return nn.Dense(features, kernel_init=normal(SPREAD), name=name, **types)


def layer_norm(name: str, types: dict[str, Any]) -> nn.LayerNorm:
    """LayerNorm with epsilon 1e-6, its statistics in two passes and at least float32."""
    return nn.LayerNorm(epsilon=1e-6, use_fast_variance=False, name=name, **types)


class MLP(nn.Module):
    """x -> fc2(gelu(fc1(x))), with the exact (erf) GELU.

    Attributes:
      hidden: width between the layers.
      types: dtype and param_dtype.
    """

    hidden: int
    types: dict[str, Any]

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """(..., D) -> (..., D)."""
        y = dense(self.hidden, "fc1", self.types)(x)
        return dense(x.shape[-1], "fc2", self.types)(gelu(y))


class Attention(nn.Module):
    """Self-attention: proj(softmax(q k^T / sqrt(D / heads)) v) for each head.

    Attributes:
      heads: number of heads.
      types: dtype and param_dtype.
    """

    heads: int
    types: dict[str, Any]

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """(N, T, D) -> (N, T, D). The softmax is at least float32; jax.nn's never is float64."""
        n, t, d = x.shape
        qkv = dense(3 * d, "qkv", self.types)(x).reshape(n, t, 3, self.heads, d // self.heads)
        q, k, v = jnp.moveaxis(qkv, 2, 0)
        wide = jnp.promote_types(x.dtype, jnp.float32)
        scores = jnp.einsum("nqhc,nkhc->nhqk", q, k, preferred_element_type=wide)
        share = jax.nn.softmax(scores / (d // self.heads) ** 0.5).astype(v.dtype)
        y = jnp.einsum("nhqk,nkhc->nqhc", share, v)
        return dense(d, "proj", self.types)(y.reshape(n, t, d))


class DropPath(nn.Module):
    """Leaves a branch out for some examples: y = x b / (1 - rate), b ~ Bernoulli(1 - rate).

    It acts while training, where the call was given a key: ``rngs={"drop_path": key}``. The key is
    the same on every device: each draws for the global batch and takes its share, so that an
    example loses the same branches on any number of devices.

    Attributes:
      rate: share of the examples that lose the branch.
      axis_name: mapped axis over which the batch is sharded, or None.

    Reference: Huang et al. 2016, https://arxiv.org/abs/1603.09382
    """

    rate: float
    axis_name: str | None = None

    @nn.compact
    def __call__(self, x: Array, train: bool) -> Array:
        """(N, ...) -> (N, ...)."""
        if not (train and self.rate and self.has_rng(RNG)):
            return x
        count = len(x)
        shape = (count * stats.axis_size(self.axis_name),)
        drawn = jax.random.bernoulli(self.make_rng(RNG), 1 - self.rate, shape)
        first = count * stats.shard_index(self.axis_name)
        kept = jax.lax.dynamic_slice_in_dim(drawn, first, count)
        factor = kept.astype(x.dtype) / (1 - self.rate)
        return x * factor.reshape(-1, *[1] * (x.ndim - 1))


def drop_rates(last: float, depths: Sequence[int]) -> list[float]:
    """Rates of all blocks: from 0 in the first to ``last`` in the last, in equal steps.

    >>> drop_rates(0.2, (1, 2))
    [0.0, 0.1, 0.2]
    """
    count = sum(depths)
    return [last * i / max(count - 1, 1) for i in range(count)]
