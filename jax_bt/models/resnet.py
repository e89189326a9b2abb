"""Defines ResNets with torchvision's results, names, padding and initialisation."""

import functools
from typing import Any

import flax.linen as nn
import jax.numpy as jnp
from jax import Array, lax

from jax_bt.errors import UsageError
from jax_bt.models._batch_norm import BatchNorm
from jax_bt.models._conv import Conv

STEMS = ("imagenet", "cifar", "cifar_pad2")


def _window(size: int, stride: int, pad: int, dims: int) -> tuple[Any, Any, Any]:
    """Kernel size, strides and torch's symmetric padding in so many dimensions.

    "SAME" would pad (0, 1) before a stride-2 3x3.
    """
    return (size,) * dims, (stride,) * dims, ((pad, pad),) * dims


class Block(nn.Module):
    """A residual block: relu(f(x) + shortcut(x)), basic (two 3x3) or bottleneck (1x1, 3x3, 1x1).

    The stride sits in the first 3x3 (torchvision's "v1.5" bottleneck). The shortcut is a strided
    1x1 convolution with norm where the shape changes, the identity elsewhere.

    Attributes:
      conv: convolution module factory.
      norm: norm module factory.
      bottleneck: three convolutions instead of two.
      filters: width of the 3x3 convolutions.
      width_out: width of the result.
      stride: of the first 3x3 and of the shortcut.
      project: put a convolution on the shortcut.
      last_scale_init: initialiser of the last norm's scale.
    """

    conv: Any
    norm: Any
    bottleneck: bool
    filters: int
    width_out: int
    stride: int
    project: bool
    last_scale_init: Any

    @nn.compact
    def __call__(self, x: Array, train: bool) -> Array:
        """(N, H, W, C) -> (N, H / stride, W / stride, width_out); waveforms without W."""
        plan = (
            [(self.filters, 1, 1), (self.filters, 3, self.stride), (self.width_out, 1, 1)]
            if self.bottleneck
            else [(self.filters, 3, self.stride), (self.width_out, 3, 1)]
        )
        y = x
        for i, (features, size, stride) in enumerate(plan, start=1):
            shape = _window(size, stride, size // 2, x.ndim - 2)
            y = self.conv(features, *shape, name=f"conv{i}")(y)
            if i < len(plan):
                y = nn.relu(self.norm(name=f"bn{i}")(y, train))
            else:
                y = self.norm(scale_init=self.last_scale_init, name=f"bn{i}")(y, train)
        if self.project:
            shape = _window(1, self.stride, 0, x.ndim - 2)
            x = self.conv(self.width_out, *shape, name="downsample_0")(x)
            x = self.norm(name="downsample_1")(x, train)
        return nn.relu(y + x)


class ResNet(nn.Module):
    """A ResNet without classifier, from images or waveforms to average-pooled features.

    Attributes:
      stage_sizes: number of blocks of each stage; stage s has features * width * 2^s filters.
      bottleneck: bottleneck blocks (50 layers and more) or basic ones (18, 34).
      features: filters of the stem and of the first stage.
      width: factor on every number of filters (2 for "R50x2", whose features are 4096 wide).
      inner: factor on the filters inside bottlenecks alone (2 for torchvision's wide_resnet50_2).
      stem: "imagenet" (7x7 stride 2, then 3x3 max-pool stride 2), "cifar" (3x3 stride 1, no pool)
        or "cifar_pad2" (the same with padding 2, as solo-learn has it: 34x34 maps from 32x32).
      dtype: of the computation between parameters and pooling; statistics, pooling and result are
        at least float32.
      param_dtype: of parameters and running statistics.
      axis_name: mapped axis whose shards share batch statistics, or None.
      norm_group: consecutive shards that share batch statistics; None for all.
      remat: recompute the inside of each block in the backward pass, so that only the blocks'
        outputs are kept: about a third of the activations for about a third more computation.
      zero_init_residual: start the last norm scale of every block at zero, each block an identity.

    Reference: He et al. 2015, https://arxiv.org/abs/1512.03385; torchvision.models.resnet
    """

    stage_sizes: tuple[int, ...]
    bottleneck: bool
    features: int = 64
    width: int = 1
    inner: int = 1
    stem: str = "imagenet"
    dtype: Any = jnp.float32
    param_dtype: Any = jnp.float32
    axis_name: str | None = None
    norm_group: int | None = None
    remat: bool = False
    zero_init_residual: bool = True

    modalities = ("image", "waveform", "frames")  # of the views that it takes

    @property
    def width_out(self) -> int:
        """Width of the pooled features."""
        expansion = 4 if self.bottleneck else 1
        return self.features * self.width * 2 ** (len(self.stage_sizes) - 1) * expansion

    @nn.compact
    def __call__(self, images: Array, train: bool = False) -> Array:
        """Encodes images.

        Args:
          images: (N, H, W, channels), any floating dtype, already normalised; sequences (N, T,
            channels) go through the same network in one dimension.
          train: use the batch's statistics and record them in the collection "batch_stats".

        Returns:
          (N, width_out), float32 or wider: the mean over space of the last stage. The outputs of
          the stem and of each stage are sown as "stem", "layer1", ... in "intermediates", and the
          last stage's as "maps" too, whose mean is taken.

        Raises:
          UsageError: ``stem`` is not one of STEMS.
        """
        if self.stem not in STEMS:
            raise UsageError(f"stem={self.stem!r} is not one of {', '.join(STEMS)}")
        types = {"dtype": self.dtype, "param_dtype": self.param_dtype}
        conv = functools.partial(Conv, **types)
        norm = functools.partial(
            BatchNorm, axis_name=self.axis_name, group_size=self.norm_group, **types
        )
        zero, one = nn.initializers.zeros, nn.initializers.ones
        block = nn.remat(Block, static_argnums=(2,)) if self.remat else Block
        filters = self.features * self.width

        x = images.astype(self.dtype)
        dims = x.ndim - 2
        stems = {"imagenet": (7, 2, 3), "cifar": (3, 1, 1), "cifar_pad2": (3, 1, 2)}
        x = conv(filters, *_window(*stems[self.stem], dims), name="conv1")(x)
        x = nn.relu(norm(name="bn1")(x, train))
        if self.stem == "imagenet":
            window, strides, padding = _window(3, 2, 1, dims)  # pads with -inf
            if not train:
                # Apart, as jax2onnx needs it, and XLA joins them; in training it would keep a copy.
                x = jnp.pad(x, ((0, 0), *padding, (0, 0)), constant_values=-jnp.inf)
                padding = "VALID"
            x = nn.max_pool(x, window_shape=window, strides=strides, padding=padding)
        self.sow("intermediates", "stem", x)

        for stage, blocks in enumerate(self.stage_sizes):
            for i in range(blocks):
                first = i == 0
                out = filters * 2**stage * (4 if self.bottleneck else 1)
                stride = 2 if first and stage > 0 else 1
                x = block(
                    conv=conv,
                    norm=norm,
                    bottleneck=self.bottleneck,
                    filters=filters * 2**stage * (self.inner if self.bottleneck else 1),
                    width_out=out,
                    stride=stride,
                    project=stride != 1 or x.shape[-1] != out,
                    last_scale_init=zero if self.zero_init_residual else one,
                    name=f"layer{stage + 1}_{i}",
                )(x, train)
            self.sow("intermediates", f"layer{stage + 1}", x)
        self.sow("intermediates", "maps", x)
        if not train:
            # Fused into the mean, bfloat16 maps gave NaN on CPUs (jaxlib 0.11 and 0.12, XLA's
            # fusions for YNNPACK).
            x = lax.optimization_barrier(x)
        wide = x.astype(jnp.promote_types(x.dtype, jnp.float32))
        return jnp.mean(wide, axis=tuple(range(1, dims + 1)))


ResNet18 = functools.partial(ResNet, stage_sizes=(2, 2, 2, 2), bottleneck=False)
ResNet34 = functools.partial(ResNet, stage_sizes=(3, 4, 6, 3), bottleneck=False)
ResNet50 = functools.partial(ResNet, stage_sizes=(3, 4, 6, 3), bottleneck=True)
ResNet101 = functools.partial(ResNet, stage_sizes=(3, 4, 23, 3), bottleneck=True)
ResNet152 = functools.partial(ResNet, stage_sizes=(3, 8, 36, 3), bottleneck=True)
ResNet200 = functools.partial(ResNet, stage_sizes=(3, 24, 36, 3), bottleneck=True)
WideResNet50 = functools.partial(ResNet50, inner=2)
# 384 features of waveforms, as in VICReg's appendix D.2.
WaveResNet18 = functools.partial(ResNet18, features=48)
ResNetSmall = functools.partial(
    ResNet, stage_sizes=(1, 1, 1), bottleneck=False, features=32, stem="cifar"
)
ResNetToy = functools.partial(
    ResNet, stage_sizes=(1, 1), bottleneck=False, features=8, stem="cifar"
)
