"""Normalises batches as PyTorch does, over the global batch or over groups of devices."""

from typing import Any

import flax.linen as nn
import jax.numpy as jnp
from jax import Array, lax
from jax.nn.initializers import Initializer

from jax_bt import stats
from jax_bt.errors import UsageError


class BatchNorm(nn.Module):
    """Batch normalisation: y = scale * (x - mean) / sqrt(var + epsilon) + bias.

    While training, mean and (biased) variance are those of the batch, at least in float32; the
    running variance takes the unbiased one, as torch's does and Flax's does not. Under
    ``shard_map`` the batch is that of all shards of ``axis_name``; ``group_size`` restricts it to
    groups of consecutive shards (1: each shard by itself), and the running statistics then take the
    mean over the groups, so that they stay the same everywhere. ``axis_name`` is not looked at
    while initialising nor when ``train=False``.

    The input is read once for both statistics, and the devices reduce them together::

        mean = s + E[x - s],    var = E[(x - s)^2] - E[x - s]^2,    s the running mean before.

    The variance's relative error is at most 4 roundings (5e-7 in float32) times 1 + (mean - s)^2 /
    var: that of two passes once the running mean is within a deviation or so of the batch's. While
    it is still 0, a mean of 10 deviations costs 5e-5, one of 100 5e-3, and one of 1000 up to half.
    A difference below its own rounding counts as that much: y is then too small, not too large.

    Attributes:
      momentum: share of the old running statistics that stays (torch's momentum is 1 minus it).
      epsilon: added to the variance.
      use_scale: learn a scale (C,).
      use_bias: learn a shift (C,).
      scale_init: initialiser of the scale.
      dtype: dtype of the result; None keeps the input's.
      param_dtype: dtype of scale, bias and running statistics.
      axis_name: mapped axis of ``shard_map`` or ``pmap``, or None.
      group_size: consecutive shards that share statistics; None for all.

    Reference: Ioffe and Szegedy 2015, https://arxiv.org/abs/1502.03167
    """

    momentum: float = 0.9
    epsilon: float = 1e-5
    use_scale: bool = True
    use_bias: bool = True
    scale_init: Initializer = nn.initializers.ones
    dtype: Any = None
    param_dtype: Any = jnp.float32
    axis_name: str | None = None
    group_size: int | None = None

    @nn.compact
    def __call__(self, x: Array, train: bool) -> Array:
        """Normalises over all axes but the last.

        Args:
          x: (N, ..., C), any floating dtype; under ``shard_map`` the local shard.
          train: use and record the statistics of the batch, not the running ones.

        Returns:
          Array of x's shape.

        Raises:
          UsageError: training on one value per channel, which has no variance, or a
            ``group_size`` that does not divide the number of shards.
          ValueError: a ``group_size`` without ``axis_name``.
        """
        channels = x.shape[-1:]
        mean = self.variable("batch_stats", "mean", jnp.zeros, channels, self.param_dtype)
        var = self.variable("batch_stats", "var", jnp.ones, channels, self.param_dtype)
        wide = stats.wide(x)
        if train and not self.is_initializing():
            batch_mean, batch_var = self._batch_statistics(wide, mean, var)
        else:
            batch_mean, batch_var = mean.value, var.value
        factor = lax.rsqrt(batch_var + self.epsilon)
        if self.use_scale:
            factor = factor * self.param("scale", self.scale_init, channels, self.param_dtype)
        y = (wide - batch_mean) * factor
        if self.use_bias:
            y = y + self.param("bias", nn.initializers.zeros, channels, self.param_dtype)
        return y.astype(self.dtype or x.dtype)

    def _batch_statistics(self, x: Array, mean: nn.Variable, var: nn.Variable) -> tuple:
        axes = tuple(range(x.ndim - 1))
        count = x.size // x.shape[-1]
        shift = lax.stop_gradient(mean.value).astype(x.dtype)
        shifted = x - shift
        moments = jnp.stack([jnp.mean(shifted, axes), jnp.mean(jnp.square(shifted), axes)])
        if self.group_size is None:
            count *= stats.axis_size(self.axis_name)
            moments = stats.all_mean(moments, self.axis_name)
        else:
            if self.axis_name is None:
                raise ValueError("BatchNorm: group_size needs axis_name, the mapped axis to group")
            count *= self.group_size
            moments = stats.group_mean(moments, self.group_size, self.axis_name)
        first, second = moments
        # Where the difference is all rounding it may be anything, negative too.
        rounding = lax.stop_gradient(4 * jnp.finfo(x.dtype).eps * jnp.square(first))
        batch_mean, batch_var = shift + first, jnp.maximum(second - jnp.square(first), rounding)
        new_mean, new_var = batch_mean, batch_var
        if self.group_size is not None:
            new_mean, new_var = stats.all_mean(jnp.stack([new_mean, new_var]), self.axis_name)
        if count < 2:
            raise UsageError(
                f"BatchNorm: one value per channel (input {x.shape}) has no variance to train on; "
                "use a larger batch or image"
            )
        keep = self.momentum
        mean.value = keep * mean.value + (1 - keep) * new_mean.astype(mean.value.dtype)
        unbiased = new_var * (count / (count - 1))
        var.value = keep * var.value + (1 - keep) * unbiased.astype(var.value.dtype)
        return batch_mean, batch_var
