"""ConvNeXts that compute what torchvision's, timm's and VICRegL's compute, with timm's names."""

import functools
from typing import Any

import flax.linen as nn
import jax.numpy as jnp
from jax import Array

from jax_bt.errors import UsageError
from jax_bt.models._blocks import MLP, SPREAD, DropPath, drop_rates, layer_norm
from jax_bt.models._init import normal


class Block(nn.Module):
    """x + gamma * mlp(norm(depthwise 7x7 convolution(x))), left out at the rate ``drop``.

    Attributes:
      layer_scale: initial value of gamma (C,); 0 for no gamma.
      drop: rate of ``DropPath``.
      axis_name: mapped axis over which the batch is sharded, or None.
      types: dtype and param_dtype.
    """

    layer_scale: float
    drop: float
    axis_name: str | None
    types: dict[str, Any]

    @nn.compact
    def __call__(self, x: Array, train: bool) -> Array:
        """(N, H, W, C) -> (N, H, W, C)."""
        channels = x.shape[-1]
        shape = {"kernel_size": (7, 7), "padding": ((3, 3), (3, 3))}
        draw = normal(SPREAD)
        y = nn.Conv(channels, **shape, feature_group_count=channels, kernel_init=draw,
                    name="conv_dw", **self.types)(x)  # fmt: skip
        y = MLP(4 * channels, self.types, name="mlp")(layer_norm("norm", self.types)(y))
        if self.layer_scale:
            start = nn.initializers.constant(self.layer_scale)
            gamma = self.param("gamma", start, (channels,), self.types["param_dtype"])
            y = y * gamma.astype(y.dtype)
        return x + DropPath(self.drop, self.axis_name, name="drop")(y, train)


class ConvNeXt(nn.Module):
    """A ConvNeXt without classifier, from images to one vector per image.

    Attributes:
      depths: number of blocks of each stage.
      dims: channels of each stage.
      norm_first: norm every position before the mean over space (VICRegL; timm's
        head_norm_first), not the mean.
      layer_scale: initial factor of every block; 0 for no factor (VICRegL's pretraining).
      drop_path: rate at which the last block is left out while training, the first block's being 0;
        needs ``rngs={"drop_path": key}``.
      dtype: of the computation between parameters and pooling; norms' statistics, pooling and
        result are at least float32.
      param_dtype: of parameters.
      axis_name: mapped axis over which the batch is sharded, or None; for ``drop_path``.
      remat: recompute the inside of each block in the backward pass, so that only the blocks'
        outputs are kept.

    Reference: Liu et al. 2022, https://arxiv.org/abs/2201.03545; Bardes et al. 2022 (VICRegL),
    https://arxiv.org/abs/2210.01571
    """

    depths: tuple[int, ...] = (3, 3, 9, 3)
    dims: tuple[int, ...] = (96, 192, 384, 768)
    norm_first: bool = False
    layer_scale: float = 1e-6
    drop_path: float = 0.0
    dtype: Any = jnp.float32
    param_dtype: Any = jnp.float32
    axis_name: str | None = None
    remat: bool = False

    @property
    def width_out(self) -> int:
        """Width of an image's vector."""
        return self.dims[-1]

    @nn.compact
    def __call__(self, images: Array, train: bool = False) -> Array:
        """Encodes images.

        Args:
          images: (N, H, W, channels), any floating dtype, already normalised; H and W at least 32
            with four stages.
          train: leave out blocks at the rate ``drop_path``.

        Returns:
          (N, width_out), float32 or wider. Sown in "intermediates": each stage's output as
          "layer1", ..., and "maps" (N, H / 32, W / 32, width_out), whose mean over space is taken.

        Raises:
          UsageError: images too small for the number of stages.
        """
        least = 2 ** (len(self.dims) + 1)
        if min(images.shape[1:3]) < least:
            raise UsageError(
                f"images of {images.shape[1]} x {images.shape[2]}: this ConvNeXt's "
                f"{len(self.dims)} stages need at least {least} pixels"
            )
        types = {"dtype": self.dtype, "param_dtype": self.param_dtype}
        conv = functools.partial(nn.Conv, padding="VALID", kernel_init=normal(SPREAD), **types)
        block = nn.remat(Block, static_argnums=(2,)) if self.remat else Block
        rates = iter(drop_rates(self.drop_path, self.depths))

        x = conv(self.dims[0], (4, 4), (4, 4), name="stem_0")(images.astype(self.dtype))
        x = layer_norm("stem_1", types)(x)
        for stage, (depth, channels) in enumerate(zip(self.depths, self.dims, strict=True)):
            name = f"stages_{stage}"
            if stage:
                x = layer_norm(f"{name}_downsample_0", types)(x)
                x = conv(channels, (2, 2), (2, 2), name=f"{name}_downsample_1")(x)
            for i in range(depth):
                fields = (self.layer_scale, next(rates), self.axis_name, types)
                x = block(*fields, name=f"{name}_blocks_{i}")(x, train)
            self.sow("intermediates", f"layer{stage + 1}", x)
        if self.norm_first:
            x = layer_norm("norm_pre", types)(x)
        self.sow("intermediates", "maps", x)
        pooled = jnp.mean(x.astype(jnp.promote_types(x.dtype, jnp.float32)), axis=(1, 2))
        if not self.norm_first:
            pooled = layer_norm("head_norm", types | {"dtype": pooled.dtype})(pooled)
        return pooled


ConvNeXtTiny = ConvNeXt
ConvNeXtSmall = functools.partial(ConvNeXt, depths=(3, 3, 27, 3))
ConvNeXtBase = functools.partial(ConvNeXt, depths=(3, 3, 27, 3), dims=(128, 256, 512, 1024))
ConvNeXtToy = functools.partial(ConvNeXt, depths=(1, 1, 1), dims=(32, 64, 128), layer_scale=0.0)
