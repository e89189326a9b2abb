"""Picks the public layout of a network's weights: torchvision's for ResNets, timm's for others."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from jax_bt.errors import WeightsError
from jax_bt.models import ConvNeXt, ResNet, TextGRU, ViT
from jax_bt.weights import timm, torchvision

LAYOUTS = ("torchvision", "timm")


def layout_of(module: Any) -> str:
    """The layout in which the weights of a module are kept: "torchvision" or "timm"."""
    return "torchvision" if isinstance(module, ResNet) else "timm"


def to_state_dict(
    module: Any, variables: Mapping[str, Any], layout: str | None = None
) -> dict[str, np.ndarray]:
    """The weights of an encoder by public names.

    Args:
      module: the encoder.
      variables: {"params": ..., "batch_stats": ...} of it.
      layout: "torchvision" or "timm"; None for ``layout_of(module)``. A ResNet's are the same.

    Returns:
      Contiguous arrays by name, without a classifier.

    Raises:
      WeightsError: variables of something else, or a layout that does not know the encoder.
    """
    if isinstance(module, ResNet):
        return torchvision.to_torchvision(variables)
    arrays = timm.to_timm(variables)
    return timm.torchvision_names(arrays) if layout == "torchvision" else arrays


def from_state_dict(module: Any, arrays: Mapping[str, Any]) -> dict[str, Any]:
    """The variables of an encoder from arrays by public names, in any layout that is known.

    Args:
      module: the encoder, or ``module_of(arrays)``.
      arrays: by the names of torchvision (ResNet, ConvNeXt), timm (ViT, ConvNeXt), Facebook or
        VICRegL (ConvNeXt), or torch.nn.GRU (text tower).

    Returns:
      {"params": ..., "batch_stats": ...} as the module has them, nested dicts of numpy arrays.

    Raises:
      WeightsError: a key is missing or unknown, or a shape is not the module's.
    """
    if isinstance(module, ViT | ConvNeXt | TextGRU):
        return timm.from_timm(module, arrays)
    if timm.is_timm(arrays):
        raise WeightsError("state dict: a ViT's or ConvNeXt's, and the encoder is a ResNet")
    return torchvision.from_torchvision(arrays)


def module_of(arrays: Mapping[str, np.ndarray]) -> ResNet | ViT | ConvNeXt:
    """The encoder whose state dict this looks like, by its keys and shapes.

    Raises:
      WeightsError: it is none that is known.
    """
    return timm.network_of(arrays) if timm.is_timm(arrays) else torchvision.resnet_of(arrays)


def channels_of(arrays: Mapping[str, np.ndarray]) -> int:
    """Channels of the images that the first layer of a state dict takes.

    Raises:
      WeightsError: no first layer that is known.
    """
    firsts = ("conv1.weight", "patch_embed.proj.weight", "stem.0.weight")
    named = timm.timm_names(arrays) if timm.is_timm(arrays) else arrays
    for first in firsts:
        if first in named and np.ndim(named[first]) >= 3:
            return np.shape(named[first])[1]
    raise WeightsError("state dict: it has no first layer of an encoder")
