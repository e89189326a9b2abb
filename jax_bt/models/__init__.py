"""Makes encoders and heads; no other package uses Flax Linen."""

from typing import Any

from jax_bt.errors import UsageError
from jax_bt.models import convnext as convnext
from jax_bt.models import heads as heads
from jax_bt.models import resnet as resnet
from jax_bt.models import text as text
from jax_bt.models import vit as vit
from jax_bt.models._batch_norm import BatchNorm as BatchNorm
from jax_bt.models._iter_norm import IterNorm as IterNorm
from jax_bt.models.convnext import ConvNeXt as ConvNeXt
from jax_bt.models.heads import MLP as MLP
from jax_bt.models.heads import Linear as Linear
from jax_bt.models.resnet import ResNet as ResNet
from jax_bt.models.text import TextGRU as TextGRU
from jax_bt.models.vit import ViT as ViT

Encoder = ResNet | ViT | ConvNeXt | TextGRU

ENCODERS = {
    "resnet18": resnet.ResNet18,
    "resnet34": resnet.ResNet34,
    "resnet50": resnet.ResNet50,
    "resnet101": resnet.ResNet101,
    "resnet152": resnet.ResNet152,
    "resnet200": resnet.ResNet200,
    "wide_resnet50_2": resnet.WideResNet50,
    "wave_resnet18": resnet.WaveResNet18,
    "vit_tiny_patch16": vit.ViTTiny,
    "vit_small_patch16": vit.ViTSmall,
    "vit_base_patch16": vit.ViTBase,
    "vit_large_patch16": vit.ViTLarge,
    "convnext_tiny": convnext.ConvNeXtTiny,
    "convnext_small": convnext.ConvNeXtSmall,
    "convnext_base": convnext.ConvNeXtBase,
    "gru_text": text.TextGRU,
    # 0.1 to 0.3 million parameters, seconds to compile: small images on a laptop
    "resnet_small": resnet.ResNetSmall,
    "vit_toy_patch4": vit.ViTToy,
    "convnext_toy": convnext.ConvNeXtToy,
    # 5 thousand parameters: to see whether a program runs
    "resnet_toy": resnet.ResNetToy,
}


def modalities(encoder: Any) -> tuple[str, ...]:
    """The modalities of the views that an encoder takes: images, where it says nothing."""
    return getattr(encoder, "modalities", ("image",))


def make(name: str, **options: Any) -> Encoder:
    """An encoder by name.

    Args:
      name: one of ENCODERS, such as "resnet50".
      **options: attributes of its module, such as ``dtype``, ``width`` of a ResNet or
        ``patch_size`` of a ViT; None stands for the encoder's own.

    Returns:
      The module; its ``width_out`` is the width of its features.

    Raises:
      UsageError: there is no encoder of that name, or it has no such option.
    """
    if name not in ENCODERS:
        raise UsageError(f"encoder {name!r} is not one of {', '.join(ENCODERS)}")
    make, options = ENCODERS[name], {k: v for k, v in options.items() if v is not None}
    fields = getattr(make, "func", make).__dataclass_fields__  # behind functools.partial
    valid = [field for field in fields if field not in ("parent", "name")]
    unknown = sorted(set(options) - set(valid))
    if unknown:
        raise UsageError(f"{name}: option {unknown[0]!r} is not one of {', '.join(valid)}")
    return make(**options)
