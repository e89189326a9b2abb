"""Maps our ViTs, ConvNeXts and text towers to timm's names and back; reads other names as well."""

import math
import re
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jax_bt.errors import WeightsError
from jax_bt.models import ConvNeXt, TextGRU, ViT
from jax_bt.weights._limits import shown

# Our leaf -> torch's; cls_token, pos_embed, gamma and the GRU's arrays keep their names and axes.
LEAVES = {"kernel": "weight", "scale": "weight", "embedding": "weight"}
JOINED = {"patch_embed_proj": "patch_embed.proj", "head_norm": "head.norm"}
CLASSIFIER = re.compile(r"(head|head\.fc|head_dist|fc|classifier\.2)\.(weight|bias)")
# Facebook's ConvNeXt (and VICRegL's) and torchvision's -> timm's
FACEBOOK = {"dwconv": "conv_dw", "pwconv1": "mlp.fc1", "pwconv2": "mlp.fc2"}
TORCHVISION = {
    "block.0": "conv_dw",
    "block.2": "norm",
    "block.3": "mlp.fc1",
    "block.5": "mlp.fc2",
    "layer_scale": "gamma",
}
NUMBER = r"(\d{1,3})"  # no number of a file is believed to be small


def to_timm(variables: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """State dict for timm's model (without its classifier) from the variables of ours.

    A text tower gets the names of VSE++: ``embed.weight`` and those of ``torch.nn.GRU`` as ``rnn``.

    Args:
      variables: {"params": ...} of one ViT, ConvNeXt or TextGRU.

    Returns:
      Contiguous arrays by timm's names; ``load_state_dict`` takes them in any order.
    """
    return {
        key: _axes(value, to_torch=True) if path[-1] == "kernel" else np.ascontiguousarray(value)
        for key, path, value in _leaves(variables)
    }


def from_timm(module: ViT | ConvNeXt | TextGRU, state_dict: Mapping[str, Any]) -> dict[str, Any]:
    """Variables of our module from the state dict of timm's, Facebook's or torchvision's.

    The classifier may be there or not, and is left out. A position embedding may belong to another
    image size than the one in use: the module resamples it.

    Args:
      module: of the sizes of the file, such as ``weights.module_of`` finds.
      state_dict: arrays by name; numpy arrays or torch tensors on the CPU.

    Returns:
      {"params": ...}, nested dicts of numpy arrays of the dtypes given.

    Raises:
      WeightsError: a key is missing or unknown, or a shape is not the module's.
    """
    arrays = timm_names({key: np.asarray(value) for key, value in state_dict.items()})
    if isinstance(module, ConvNeXt):  # Facebook has one name for both norms
        other, mine = ("head.norm.", "norm_pre.")[:: 1 if module.norm_first else -1]
        facebook = {f"norm.{leaf}": f"{mine}{leaf}" for leaf in ("weight", "bias")}
        arrays = {facebook.get(key, key): value for key, value in arrays.items()}
        if f"{other}weight" in arrays:
            raise WeightsError(
                f"state dict: it has {other}weight; a ConvNeXt with norm_first="
                f"{module.norm_first} has {mine}weight"
            )
    expected = _leaves(jax.eval_shape(module.init, jax.random.key(0), _example(module, arrays)))
    keys = {key for key, _, _ in expected}
    for what, some in (("missing", keys - set(arrays)), ("unknown", set(arrays) - keys)):
        if some:
            raise WeightsError(
                f"state dict of a {type(module).__name__}: of its keys {len(some)} {what} "
                f"(such as {shown(min(some))})"
            )
    variables: dict[str, Any] = {}
    for key, path, leaf in expected:
        value = _axes(arrays[key], to_torch=False) if path[-1] == "kernel" else arrays[key]
        if value.shape != leaf.shape:
            raise WeightsError(
                f"state dict: {key} has shape {arrays[key].shape}, which does not fit "
                f"{'/'.join(path)} {leaf.shape} of our {type(module).__name__}"
            )
        node = variables
        for name in path[:-1]:
            node = node.setdefault(name, {})
        node[path[-1]] = np.ascontiguousarray(value)
    return variables


def timm_names(arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The arrays by timm's names, without a classifier.

    >>> list(timm_names({"stages.2.1.dwconv.bias": np.ones(1), "head.fc.bias": np.ones(1)}))
    ['stages.2.blocks.1.conv_dw.bias']
    """
    named = {}
    for key, value in arrays.items():
        if not CLASSIFIER.fullmatch(key):
            name = _timm_name(key)
            named[name] = value.reshape(-1) if name.endswith(".gamma") else value
    return named


def _timm_name(key: str) -> str:
    if match := re.match(rf"downsample_layers\.{NUMBER}\.", key):
        stage, rest = int(match[1]), key[match.end() :]
        return f"stages.{stage}.downsample.{rest}" if stage else f"stem.{rest}"
    if match := re.match(rf"stages\.{NUMBER}\.{NUMBER}\.", key):
        part, dot, leaf = key[match.end() :].partition(".")
        return f"stages.{match[1]}.blocks.{match[2]}.{FACEBOOK.get(part, part)}{dot}{leaf}"
    if match := re.match(rf"features\.{NUMBER}\.{NUMBER}\.", key):
        place, number, rest = int(match[1]), match[2], key[match.end() :]
        if place == 0:
            return f"stem.{number}.{rest}"
        if place % 2 == 0:
            return f"stages.{place // 2}.downsample.{number}.{rest}"
        part = next((p for p in TORCHVISION if re.match(rf"{re.escape(p)}(\.|$)", rest)), rest)
        return (
            f"stages.{place // 2}.blocks.{number}.{TORCHVISION.get(part, part)}" + rest[len(part) :]
        )
    return re.sub(r"^classifier\.0\.", "head.norm.", key)


def torchvision_names(arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The arrays of a ConvNeXt by torchvision's names, from timm's.

    Raises:
      WeightsError: torchvision has no such network.
    """
    if "head.norm.weight" not in arrays:
        raise WeightsError(
            "torchvision's names are known for ResNets and for ConvNeXts with the norm behind the "
            "mean (norm_first=False); this encoder has timm's names only"
        )
    parts, named = {timm: theirs for theirs, timm in TORCHVISION.items()}, {}
    for key, value in arrays.items():
        if match := re.match(r"stages\.(\d+)\.(blocks|downsample)\.(\d+)\.", key):
            place, rest = 2 * int(match[1]) + (match[2] == "blocks"), key[match.end() :]
            if match[2] == "blocks":
                part = next(p for p in parts if rest.startswith(p))
                rest = parts[part] + rest[len(part) :]
            key = f"features.{place}.{match[3]}.{rest}"
        key = re.sub(r"^head\.norm\.", "classifier.0.", re.sub(r"^stem\.", "features.0.", key))
        named[key] = value[:, None, None] if key.endswith(".layer_scale") else value
    return named


def is_timm(arrays: Mapping[str, Any]) -> bool:
    """Whether this looks like the state dict of a ViT or a ConvNeXt."""
    firsts = ("patch_embed.proj.weight", "stem.0.weight", "downsample_layers.0.0.weight")
    convnext = {"features.0.0.weight", "features.1.0.block.5.weight"} <= set(arrays)
    return convnext or any(first in arrays for first in firsts)


def network_of(arrays: Mapping[str, np.ndarray]) -> ViT | ConvNeXt:
    """The ViT or ConvNeXt whose state dict this looks like, by its keys and shapes.

    Of a ViT the number of heads is not to be seen: one per 64 channels, as in all common sizes.
    Facebook's names without ``gamma`` are taken for VICRegL's, which norm before the mean.

    Raises:
      WeightsError: its sizes make no sense.
    """
    facebook, arrays = "norm.weight" in arrays, timm_names(arrays)
    blocks = {(m[1], m[2]) for key in arrays
              if (m := re.match(rf"(?:stages\.{NUMBER}\.)?blocks\.{NUMBER}\.", key))}  # fmt: skip
    if not 0 < len(blocks) <= 500:  # making up so many would take minutes
        raise WeightsError(f"state dict: {len(blocks)} blocks are no ViT's and no ConvNeXt's")
    try:
        if "stem.0.weight" in arrays:
            depths = [sum(stage == str(s) for stage, _ in blocks) for s in range(len(blocks))]
            depths = tuple(depth for depth in depths if depth)
            if not depths:
                raise ValueError("it has a stem and no stages")
            scales = any(key.endswith(".gamma") for key in arrays)
            return ConvNeXt(
                depths=depths,
                dims=tuple(
                    len(arrays[f"stages.{s}.blocks.0.norm.weight"]) for s in range(len(depths))
                ),
                norm_first="norm_pre.weight" in arrays or (facebook and not scales),
                layer_scale=1e-6 if scales else 0.0,
            )
        features, _, size, _ = arrays["patch_embed.proj.weight"].shape
        token = "cls_token" in arrays
        return ViT(
            depth=len(blocks),
            features=features,
            heads=max(features // 64, 1),
            patch_size=max(size, 1),
            class_token=token,
            pool="mean" if "fc_norm.weight" in arrays else "token" if token else "normed_mean",
            mlp_ratio=len(arrays["blocks.0.mlp.fc1.bias"]) / max(features, 1),
        )
    except (KeyError, ValueError, TypeError) as error:
        raise WeightsError(f"state dict: no ViT's and no ConvNeXt's ({shown(error)})") from None


def _example(module: ViT | ConvNeXt | TextGRU, arrays: Mapping[str, np.ndarray]) -> Any:
    """What the module is initialised with for parameters of the shapes in the file."""
    if isinstance(module, TextGRU):
        return jax.ShapeDtypeStruct((1, 2), jnp.int32)
    first = "patch_embed.proj.weight" if isinstance(module, ViT) else "stem.0.weight"
    channels = arrays[first].shape[1] if first in arrays and arrays[first].ndim == 4 else 3
    side = 2 ** (len(module.dims) + 1) if isinstance(module, ConvNeXt) else module.patch_size
    places = arrays.get("pos_embed")
    if isinstance(module, ViT) and places is not None and places.ndim == 3:
        side *= max(math.isqrt(max(places.shape[1] - module.class_token, 0)), 1)
    return jax.ShapeDtypeStruct((1, side, side, channels), jnp.float32)


def _leaves(variables: Mapping[str, Any]) -> list[tuple[str, tuple[str, ...], Any]]:
    """(timm's key, our path, leaf) of every leaf."""
    found = []
    for path, leaf in jax.tree_util.tree_leaves_with_path(variables):
        names = tuple(jax.tree_util.keystr((entry,), simple=True) for entry in path)
        if len(names) < 2 or names[0] != "params":
            raise WeightsError(f"variables: {'/'.join(names)} is no parameter of an encoder")
        *modules, last = (JOINED.get(name, name) for name in names[1:])
        key = ".".join([*modules, LEAVES.get(last, last)])
        key = re.sub(r"_(\d+)_", r".\1.", key)
        found.append((re.sub(r"_(\d+)(?=\.)", r".\1", key), names, leaf))
    return found


def _axes(value: Any, *, to_torch: bool) -> np.ndarray:
    """Convolutions (kh, kw, in, out) and matrices (in, out) from and to torch's (out, in, ...)."""
    value = np.asarray(value)
    if value.ndim == 4:
        value = value.transpose(3, 2, 0, 1) if to_torch else value.transpose(2, 3, 1, 0)
    elif value.ndim == 2:
        value = value.T
    return np.ascontiguousarray(value)
