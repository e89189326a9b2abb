"""Finds the encoder's state dict in what a file holds, and takes its prefix off."""

from collections import deque
from collections.abc import Iterable, Mapping
from typing import Any

from jax_bt.errors import WeightsError
from jax_bt.weights._limits import DEPTH, NAME, Tensor, shown

# Entries under which released checkpoints keep their weights, in order of preference.
WRAPPERS = ("state_dict", "model_state_dict", "model", "backbone", "encoder")
# A network's first layer: a ResNet's, timm's ViT's and ConvNeXt's, Facebook's ConvNeXt's.
FIRST_LAYERS = (
    "conv1.weight",
    "patch_embed.proj.weight",
    "stem.0.weight",
    "downsample_layers.0.0.weight",
)
# Which network is meant where a file has several, such as MoCo's two encoders.
PREFERRED = (
    "module.backbone.",  # Barlow Twins, VICReg
    "backbone.",  # solo-learn, beside "momentum_backbone."
    "module.encoder_q.",  # MoCo v1, v2
    "module.base_encoder.",  # MoCo v3
    "module.encoder.",  # SimSiam
    "encoder.",  # old solo-learn
    "module.",  # SwAV, DeepCluster v2
    "",
)
# Trained beside an encoder under its own prefix, of no use to it.
HEADS = (
    "projector.",
    "projection_head.",  # SwAV
    "prototypes.",
    "predictor.",
    "classifier.",
)


def state_dict(tree: Any) -> dict[str, Tensor]:
    """Tensors of a checkpoint's model by name; of nested dicts, the names joined by dots.

    Raises:
      WeightsError: there are none, or names that cannot be.
    """
    if type(tree) is not dict:
        raise WeightsError(f"holds no tensors by name but a Python {type(tree).__name__}")
    found = _flat(tree)
    if not found:
        keys = ", ".join(shown(key) for key in list(tree)[:5])
        raise WeightsError(f"holds no tensors; its entries are {keys or 'none'}")
    for _ in range(DEPTH):
        dicts = [tree[key] for key in WRAPPERS if type(tree.get(key)) is dict]
        inner = next(filter(_flat, dicts), None)
        if inner is None:
            break
        tree, found = inner, _flat(inner)
    return found


def _flat(tree: dict) -> dict[str, Tensor]:
    """Tensors of nested dicts, each dict visited once: shared ones could repeat without end."""
    found: dict[str, Tensor] = {}
    nodes, seen = deque([("", 0, tree)]), {id(tree)}
    while nodes:
        prefix, depth, node = nodes.popleft()
        for key, value in node.items():
            name = f"{prefix}{str(key)[: NAME + 1]}"
            if type(value) is dict and id(value) not in seen and depth < DEPTH:
                seen.add(id(value))
                nodes.append((f"{name}.", depth + 1, value))
            elif type(value) is Tensor:
                if name in found or len(name) > NAME:
                    raise WeightsError(f"has two tensors {shown(name)}, or one of too long a name")
                found[name] = value
    return found


def prefixes(names: Iterable[str]) -> list[str]:
    """What stands before the first layer of each network in a state dict.

    >>> prefixes(["module.conv1.weight", "module.layer1.0.conv1.weight"])
    ['module.']
    """
    found = {
        name.removesuffix(layer) for layer in FIRST_LAYERS for name in names if name.endswith(layer)
    }
    found = {prefix for prefix in found if not prefix or prefix.endswith(".")}
    outer: list[str] = []
    for prefix in sorted(found):  # an outer one, if any, sorts before those inside it
        if not outer or not prefix.startswith(outer[-1]):
            outer.append(prefix)
    return outer


def without_prefix(tensors: Mapping[str, Any]) -> dict[str, Any]:
    """The encoder's tensors by the names they have inside it.

    A file of no network known here, or of several that it does not tell apart, is left as it is.
    """
    found = prefixes(tensors)
    chosen = found if len(found) == 1 else [prefix for prefix in PREFERRED if prefix in found]
    if not chosen:
        return dict(tensors)
    inside = {
        name.removeprefix(chosen[0]): tensor
        for name, tensor in tensors.items()
        if name.startswith(chosen[0])
    }
    return {name: tensor for name, tensor in inside.items() if not name.startswith(HEADS)}
