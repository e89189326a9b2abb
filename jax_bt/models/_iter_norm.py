"""Whitens groups of dimensions by Newton's iteration, over the global batch."""

from typing import Any

import flax.linen as nn
import jax.numpy as jnp
from jax import Array, lax

from jax_bt import stats
from jax_bt.errors import UsageError


class IterNorm(nn.Module):
    """Iterative normalisation: y = scale * W (x - mean) + bias, W near Sigma^(-1/2), per group.

        Sigma = eps I + Cov(x),  S = Sigma / tr Sigma,  P_0 = I
        P_k = (3 P_{k-1} - P_{k-1}^3 S) / 2,  W = P_T / sqrt(tr Sigma)

    Few iterations whiten the large directions only; many are unstable in small ones. Under
    ``shard_map`` mean and covariance are those of all shards, or of groups of them, as BatchNorm's;
    evaluation takes the running mean and the running W.

    Attributes:
      groups: groups of consecutive dimensions, each whitened by itself; where there are fewer
        dimensions, each is a group.
      iterations: T.
      momentum: share of the old running statistics that stays (torch's momentum is 1 minus it).
      epsilon: added to the variances.
      dtype: dtype of the result; None keeps the input's.
      param_dtype: dtype of scale, bias and running statistics.
      axis_name: mapped axis of ``shard_map`` or ``pmap``, or None.
      group_size: consecutive shards that share statistics; None for all.

    Reference: Huang et al. 2019, https://arxiv.org/abs/1904.03441
    """

    groups: int = 64
    iterations: int = 5
    momentum: float = 0.9
    epsilon: float = 1e-5
    dtype: Any = None
    param_dtype: Any = jnp.float32
    axis_name: str | None = None
    group_size: int | None = None

    @nn.compact
    def __call__(self, x: Array, train: bool) -> Array:
        """Whitens (N, D), the local shard under ``shard_map``.

        Raises:
          UsageError: the groups do not divide D.
        """
        width = x.shape[-1]
        groups = min(self.groups, width)
        if groups < 1 or width % groups:
            raise UsageError(f"IterNorm: {self.groups} groups do not divide {width} dimensions")
        size, dtype = width // groups, self.param_dtype
        mean = self.variable("batch_stats", "mean", jnp.zeros, (groups, size), dtype)
        eye = jnp.broadcast_to(jnp.eye(size, dtype=dtype), (groups, size, size))
        whitening = self.variable("batch_stats", "whitening", lambda: eye)
        scale = self.param("scale", nn.initializers.ones, (width,), dtype)
        bias = self.param("bias", nn.initializers.zeros, (width,), dtype)
        wide = stats.wide(x).reshape(-1, groups, size)
        if train and not self.is_initializing():
            center, w = self._batch_statistics(wide)
            keep = self.momentum
            for kept, new in ((mean, center), (whitening, w)):
                if self.group_size is not None:
                    new = stats.all_mean(new, self.axis_name)
                kept.value = keep * kept.value + (1 - keep) * new.astype(kept.value.dtype)
        else:
            center, w = mean.value, whitening.value
        y = jnp.einsum("ngi,gji->ngj", wide - center, w, precision="highest")
        return (y.reshape(x.shape) * scale + bias).astype(self.dtype or x.dtype)

    def _batch_statistics(self, x: Array) -> tuple[Array, Array]:
        center = self._over_shards(jnp.mean(x, 0))
        x = x - center
        sigma = jnp.einsum("ngi,ngj->gij", x, x, precision="highest") / len(x)
        eye = jnp.eye(x.shape[-1], dtype=x.dtype)
        sigma = self._over_shards(sigma) + self.epsilon * eye
        trace = jnp.trace(sigma, axis1=1, axis2=2)[:, None, None]
        p = jnp.broadcast_to(eye, sigma.shape)
        for _ in range(self.iterations):
            cube = _product(_product(p, p), p)
            p = 1.5 * p - 0.5 * _product(cube, sigma / trace)
        return center, p * lax.rsqrt(trace)

    def _over_shards(self, x: Array) -> Array:
        if self.group_size is None:
            return stats.all_mean(x, self.axis_name)
        if self.axis_name is None:
            raise ValueError("IterNorm: group_size needs axis_name, the mapped axis to group")
        return stats.group_mean(x, self.group_size, self.axis_name)


def _product(a: Array, b: Array) -> Array:
    return jnp.matmul(a, b, precision="highest")
