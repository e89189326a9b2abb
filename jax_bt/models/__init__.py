"""Makes encoders and heads; no other package uses Flax Linen."""

from typing import Any

from jax_bt.errors import UsageError
from jax_bt.models import heads as heads
from jax_bt.models import resnet as resnet
from jax_bt.models._batch_norm import BatchNorm as BatchNorm
from jax_bt.models.heads import MLP as MLP
from jax_bt.models.heads import Linear as Linear
from jax_bt.models.resnet import ResNet as ResNet

ENCODERS = {
    "resnet18": resnet.ResNet18,
    "resnet34": resnet.ResNet34,
    "resnet50": resnet.ResNet50,
    "resnet101": resnet.ResNet101,
    "resnet152": resnet.ResNet152,
    "resnet200": resnet.ResNet200,
    # 0.3 million parameters, seconds to compile: small images on a laptop
    "resnet_small": resnet.ResNetSmall,
}


def make(name: str, **options: Any) -> ResNet:
    """An encoder by name.

    Args:
      name: one of ENCODERS, such as "resnet50".
      **options: attributes of ResNet: ``width``, ``stem``, ``dtype``, ``axis_name``, ...

    Returns:
      The module; its ``width_out`` is the width of its features.

    Raises:
      UsageError: there is no encoder of that name, or no such option.
    """
    if name not in ENCODERS:
        raise UsageError(f"encoder {name!r} is not one of {', '.join(ENCODERS)}")
    valid = [field for field in ResNet.__dataclass_fields__ if field not in ("parent", "name")]
    unknown = sorted(set(options) - set(valid))
    if unknown:
        raise UsageError(f"encoder option {unknown[0]!r} is not one of {', '.join(valid)}")
    return ENCODERS[name](**options)
