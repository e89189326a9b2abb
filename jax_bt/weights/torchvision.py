"""Maps variables of our ResNets to torchvision's state dicts and back."""

import math
import re
from collections.abc import Iterable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jax_bt.errors import WeightsError
from jax_bt.models.resnet import ResNet
from jax_bt.weights._limits import shown
from jax_bt.weights.names import prefixes

# our leaf -> torch's, in torch's order within a module
LEAVES = {
    "kernel": "weight",
    "scale": "weight",
    "bias": "bias",
    "mean": "running_mean",
    "var": "running_var",
}
COUNTER = "num_batches_tracked"  # torch counts batches there, of no use to anyone
BLOCK = re.compile(r"layer([0-9]{1,2})\.([0-9]{1,3})\.")


def from_torchvision(state_dict: Mapping[str, Any]) -> dict[str, Any]:
    """Variables of our ResNet from the state dict of torchvision's.

    Depth, width and stem are read off the keys and shapes, so that any ResNet of
    ``jax_bt.models`` will do. Convolutions go from (out, in, kh, kw) to (kh, kw, in, out). The
    classifier's ``fc.*`` and ``*.num_batches_tracked`` may be there or not, and are left out.

    Args:
      state_dict: arrays by torchvision's names; numpy arrays or torch tensors on the CPU.

    Returns:
      {"params": ..., "batch_stats": ...}, nested dicts of numpy arrays of the dtypes given.

    Raises:
      WeightsError: if a key is missing or unknown, or a shape is not that of such a ResNet.
    """
    arrays = {
        key: np.asarray(value)
        for key, value in state_dict.items()
        if not (key.startswith("fc.") or key.endswith(f".{COUNTER}"))
    }
    expected = _leaves(_abstract_variables(arrays))
    _check_keys(arrays, (key for key, _, _ in expected))
    variables: dict[str, Any] = {"params": {}, "batch_stats": {}}
    for key, path, leaf in expected:
        value, shape = arrays[key], leaf.shape
        if len(shape) >= 3:
            shape = (*shape[:-3:-1], *shape[:-2])
        if value.shape != shape:
            raise WeightsError(
                f"state dict: {key} has shape {value.shape}; our ResNet's is {shape}"
            )
        if len(shape) >= 3:
            value = np.ascontiguousarray(np.moveaxis(value, (0, 1), (-1, -2)))
        *modules, name = path
        node = variables
        for module in modules:
            node = node.setdefault(module, {})
        node[name] = value
    return variables


def to_torchvision(variables: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """State dict for torchvision's ResNet (without ``fc.*``) from the variables of ours.

    Args:
      variables: {"params": ..., "batch_stats": ...} of one ResNet.

    Returns:
      Contiguous arrays by torchvision's names and in its order, the ``num_batches_tracked`` of
      each norm, which a strict ``load_state_dict`` wants, being 0.

    Raises:
      WeightsError: if the variables are not those of a ResNet.
    """
    if isinstance(variables, Mapping) and "encoder" in variables.get("params", {}):
        raise WeightsError(
            "variables: they are a whole run's; pass one network's, "
            "{kind: networks['encoder'] for kind, networks in variables.items()}"
        )
    state_dict: dict[str, np.ndarray] = {}
    for key, _, value in _leaves(variables):
        value = np.asarray(value)
        if value.ndim >= 3:
            value = np.ascontiguousarray(np.moveaxis(value, (-1, -2), (0, 1)))
        state_dict[key] = value
        if key.endswith(".running_var"):
            state_dict[key.replace("running_var", COUNTER)] = np.zeros((), np.int64)
    _check_keys(state_dict, (key for key, _, _ in _leaves(_abstract_variables(state_dict))))
    return state_dict


def resnet_of(arrays: Mapping[str, Any]) -> ResNet:
    """The ResNet whose state dict this looks like, by its keys and shapes.

    Args:
      arrays: by torchvision's names.

    Raises:
      WeightsError: they are not a ResNet's.
    """
    stem = arrays.get("conv1.weight")
    blocks = {(int(m[1]), int(m[2])) for key in arrays if (m := BLOCK.match(key))}
    sizes = [
        sum(stage == s for s, _ in blocks) for stage in range(1, max(blocks, default=(0,))[0] + 1)
    ]
    if stem is None or stem.ndim not in (3, 4) or 0 in stem.shape or not blocks:
        found = [prefix for prefix in prefixes(arrays) if prefix]
        hint = (
            f"its names begin with {' or '.join(map(shown, found[:5]))}: take those, without that"
            if found
            else f"got {len(arrays)} keys such as {shown(next(iter(arrays), None))}"
        )
        raise WeightsError(
            "state dict: not a torchvision ResNet's, which has conv1.weight and layer1.0.*; " + hint
        )
    if blocks != {(s, b) for s, n in enumerate(sizes, start=1) for b in range(n)} or 0 in sizes:
        raise WeightsError("state dict: the numbers of its blocks, layer1.0 and so on, have gaps")
    if len(blocks) > 500:  # making up so many would take minutes
        raise WeightsError(f"state dict: {len(blocks)} blocks are no ResNet's")
    middle = arrays.get("layer1.0.conv2.weight", stem)
    return ResNet(
        stage_sizes=tuple(sizes),
        inner=max(math.prod(middle.shape[:1]) // len(stem), 1),
        bottleneck="layer1.0.conv3.weight" in arrays,
        features=stem.shape[0],
        stem="imagenet" if stem.shape[2] == 7 else "cifar",
    )


def _abstract_variables(arrays: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """Shapes of the variables of the ResNet whose state dict this looks like."""
    module, channels = resnet_of(arrays), arrays["conv1.weight"].shape[1]
    sides = (32,) * (arrays["conv1.weight"].ndim - 2)  # one of a waveform
    images = jax.ShapeDtypeStruct((1, *sides, channels), jnp.float32)
    return jax.eval_shape(module.init, jax.random.key(0), images)


def _leaves(variables: Mapping[str, Any]) -> list[tuple[str, tuple[str, ...], Any]]:
    """(torchvision's key, our path, leaf) of every leaf, in torchvision's order."""
    found = []
    for path, leaf in jax.tree_util.tree_leaves_with_path(variables):
        names = tuple(jax.tree_util.keystr((entry,), simple=True) for entry in path)
        if len(names) < 3 or names[0] not in ("params", "batch_stats") or names[-1] not in LEAVES:
            raise WeightsError(f"variables: {'/'.join(names)} is no leaf of a ResNet's variables")
        modules = ".".join(names[1:-1])
        modules = re.sub(r"^layer(\d+)_(\d+)", r"layer\1.\2", modules)
        modules = modules.replace("downsample_", "downsample.")
        found.append((f"{modules}.{LEAVES[names[-1]]}", names, leaf))
    return sorted(found, key=lambda item: _rank(item[0], item[1][-1]))


def _rank(key: str, leaf: str) -> tuple:
    """Torchvision's order: stem, blocks by number; conv1 bn1 conv2 ... downsample; leaves."""
    block = BLOCK.match(key)
    position = (int(block[1]), int(block[2])) if block else (0, 0)
    number = [int(n) for n in re.findall(r"\d+", key[block.end() if block else 0 :])]
    return (position, "downsample" in key, number, "conv" not in key, list(LEAVES).index(leaf))


def _check_keys(found: Mapping[str, Any], expected: Iterable[str]) -> None:
    """One line on what is missing and what is too much."""
    have, want = {k for k in found if not k.endswith(COUNTER)}, set(expected)
    problems = [
        f"{len(keys)} {what} (such as {shown(min(keys))})"
        for keys, what in ((want - have, "missing"), (have - want, "unknown"))
        if keys
    ]
    if problems:
        raise WeightsError(f"state dict of a ResNet: of its keys {' and '.join(problems)}")
