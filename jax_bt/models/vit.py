"""Vision transformers that compute what timm's compute, with its names and initialisation."""

import functools
import math
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import Array

from jax_bt.errors import UsageError
from jax_bt.models._blocks import MLP, Attention, DropPath, drop_rates, layer_norm
from jax_bt.models._init import linear_uniform, normal

POOLS = ("token", "mean", "normed_mean")


class Block(nn.Module):
    """x + attention(norm(x)), then x + mlp(norm(x)), each branch left out at the rate ``drop``.

    Attributes:
      heads: of the attention.
      mlp_ratio: hidden width of the MLP over the block's.
      drop: rate of ``DropPath``.
      axis_name: mapped axis over which the batch is sharded, or None.
      types: dtype and param_dtype.
    """

    heads: int
    mlp_ratio: float
    drop: float
    axis_name: str | None
    types: dict[str, Any]

    @nn.compact
    def __call__(self, x: Array, train: bool) -> Array:
        """(N, T, D) -> (N, T, D)."""
        drop = functools.partial(DropPath, self.drop, self.axis_name)
        y = layer_norm("norm1", self.types)(x)
        x = x + drop(name="drop1")(Attention(self.heads, self.types, name="attn")(y), train)
        y = layer_norm("norm2", self.types)(x)
        hidden = int(self.mlp_ratio * x.shape[-1])
        return x + drop(name="drop2")(MLP(hidden, self.types, name="mlp")(y), train)


class ViT(nn.Module):
    """A vision transformer without classifier, from images to one vector per image.

    Images of any size that the patch divides will do: the position embedding belongs to the size
    at initialisation and is resampled (bicubic, antialiased) for others, such as small crops.

    Attributes:
      depth: number of blocks.
      features: width of the tokens.
      heads: of each attention.
      patch_size: side of the square patches, pixels.
      class_token: put a learned token before those of the patches.
      pool: the image's vector: the class "token" after the norm, the norm of the patches' "mean"
        (timm's "avg"), or the mean of the normed patches ("normed_mean"; timm's "avg" with
        fc_norm=False).
      mlp_ratio: hidden width of the MLPs over that of the tokens.
      drop_path: rate at which the last block's branches are left out while training, the first
        block's being 0; needs ``rngs={"drop_path": key}``.
      dtype: of the computation between parameters and pooling; norms' statistics, softmax, pooling
        and result are at least float32.
      param_dtype: of parameters.
      axis_name: mapped axis over which the batch is sharded, or None; for ``drop_path``.
      remat: recompute the inside of each block in the backward pass, so that only the blocks'
        outputs are kept.

    Reference: Dosovitskiy et al. 2020, https://arxiv.org/abs/2010.11929; timm's VisionTransformer
    """

    depth: int = 12
    features: int = 384
    heads: int = 6
    patch_size: int = 16
    class_token: bool = True
    pool: str = "token"
    mlp_ratio: float = 4.0
    drop_path: float = 0.0
    dtype: Any = jnp.float32
    param_dtype: Any = jnp.float32
    axis_name: str | None = None
    remat: bool = False

    @property
    def width_out(self) -> int:
        """Width of an image's vector."""
        return self.features

    @nn.compact
    def __call__(self, images: Array, train: bool = False) -> Array:
        """Encodes images.

        Args:
          images: (N, H, W, channels), any floating dtype, already normalised; the patch size
            divides H and W.
          train: leave out branches at the rate ``drop_path``.

        Returns:
          (N, width_out), float32 or wider. The patches' tokens are sown in "intermediates" as maps
          (N, H / patch_size, W / patch_size, features): "block1", "block2", ... after each block,
          and "maps", those from which a mean is taken.

        Raises:
          UsageError: a side that the patch size does not divide, an unknown ``pool``, one without
            the class token that it needs, or heads that do not divide the width.
        """
        self._check(images.shape)
        types = {"dtype": self.dtype, "param_dtype": self.param_dtype}
        size, draw = self.patch_size, linear_uniform(self.patch_size**2 * images.shape[-1])
        patch = {"kernel_size": (size, size), "strides": (size, size), "padding": "VALID"}
        embed = nn.Conv(self.features, **patch, kernel_init=draw, bias_init=draw,
                        name="patch_embed_proj", **types)  # fmt: skip
        x = embed(images.astype(self.dtype))
        count, *grid, _ = x.shape
        x = x.reshape(count, -1, self.features)
        if self.class_token:
            first = self.param("cls_token", normal(1e-6), (1, 1, self.features), self.param_dtype)
            first = jnp.broadcast_to(first.astype(self.dtype), (count, 1, self.features))
            x = jnp.concatenate([first, x], axis=1)
        x = x + self._positions(*grid).astype(self.dtype)

        def maps(x: Array) -> Array:
            return x[:, int(self.class_token) :].reshape(count, *grid, self.features)

        block = nn.remat(Block, static_argnums=(2,)) if self.remat else Block
        for i, rate in enumerate(drop_rates(self.drop_path, (self.depth,))):
            name = f"blocks_{i}"
            x = block(self.heads, self.mlp_ratio, rate, self.axis_name, types, name=name)(x, train)
            self.sow("intermediates", f"block{i + 1}", maps(x))
        if self.pool != "mean":
            x = layer_norm("norm", types)(x)
        self.sow("intermediates", "maps", maps(x))
        wide = x.astype(jnp.promote_types(x.dtype, jnp.float32))
        if self.pool == "token":
            return wide[:, 0]
        pooled = jnp.mean(maps(wide), axis=(1, 2))
        if self.pool == "mean":
            pooled = layer_norm("fc_norm", types | {"dtype": pooled.dtype})(pooled)
        return pooled

    def _positions(self, height: int, width: int) -> Array:
        """The position embedding of a grid of patches, (1, tokens, features)."""
        prefix, name = int(self.class_token), "pos_embed"
        if self.has_variable("params", name):  # perhaps of another size
            table = self.get_variable("params", name)
        else:
            shape = (1, prefix + height * width, self.features)
            table = self.param(name, normal(0.02), shape, self.param_dtype)
        return resampled(table, prefix, height, width)

    def _check(self, shape: tuple[int, ...]) -> None:
        if self.pool not in POOLS:
            raise UsageError(f"pool={self.pool!r} is not one of {', '.join(POOLS)}")
        if self.pool == "token" and not self.class_token:
            raise UsageError("pool='token' needs class_token=True, or use pool='mean'")
        if self.features % self.heads:
            raise UsageError(f"features={self.features} do not divide into heads={self.heads}")
        if shape[1] % self.patch_size or shape[2] % self.patch_size:
            raise UsageError(
                f"images of {shape[1]} x {shape[2]} do not divide into patches of "
                f"{self.patch_size}: give another image size or patch_size"
            )


def resampled(table: Array, prefix: int, height: int, width: int) -> Array:
    """A position embedding for a grid of another size (bicubic, antialiased), as timm has it.

    Args:
      table: (1, prefix + n, D): a square grid of n positions, behind tokens without a place.
      prefix: number of those tokens, which stay as they are.
      height: of the new grid.
      width: of the new grid.

    Returns:
      (1, prefix + height * width, D).

    Raises:
      UsageError: n is neither a square nor height * width.
    """
    count, features = table.shape[1] - prefix, table.shape[2]
    side = math.isqrt(count)
    if side**2 != count == height * width or (height, width) == (side, side):
        return table
    if side**2 != count:
        raise UsageError(
            f"pos_embed has {count} positions, which are no square: it cannot be resampled to "
            f"{height} x {width} patches"
        )
    grid = table[0, prefix:].reshape(side, side, features)
    grid = jax.image.resize(grid, (height, width, features), "cubic", antialias=True)
    return jnp.concatenate([table[:, :prefix], grid.reshape(1, -1, features)], axis=1)


ViTTiny = functools.partial(ViT, features=192, heads=3)
ViTSmall = functools.partial(ViT, features=384, heads=6)
ViTBase = functools.partial(ViT, features=768, heads=12)
ViTLarge = functools.partial(ViT, depth=24, features=1024, heads=16)
ViTToy = functools.partial(ViT, depth=2, features=64, heads=2, patch_size=4)
