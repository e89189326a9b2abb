"""Hands ResNets to detectron2, and reads them back: pickles of numpy arrays, its own names.

Reference: MoCo's detection/convert-pretrain-to-detectron2.py
"""

import functools
import io
import math
import pickle
import re
from collections.abc import Iterable, Mapping
from typing import Any, Literal

import numpy as np

from jax_bt.errors import WeightsError
from jax_bt.weights import _pickle
from jax_bt.weights._limits import Tensor, shown
from jax_bt.weights.torchvision import COUNTER, to_torchvision


def to_detectron2(variables: Mapping[str, Any]) -> bytes:
    """A file for detectron2's MODEL.WEIGHTS, from the variables of one of our ResNets.

    Args:
      variables: {"params": ..., "batch_stats": ...} of one ResNet.

    Returns:
      The bytes of a ``.pkl`` file: convolutions as (out, in, kh, kw), norms with their running
      statistics, 265 arrays for a ResNet-50. The model wants STRIDE_IN_1X1 False, and RGB input.

    Raises:
      WeightsError: if the variables are not those of a ResNet.
    """
    model = {
        detectron2_name(name): array
        for name, array in to_torchvision(variables).items()
        if not name.endswith(COUNTER)
    }
    # Protocol 3 names numpy's module in plain text; numpy before 1.26 knows it by its old name
    # only, which later ones read as well. The first array names it, before any data.
    content = pickle.dumps(
        {"model": model, "__author__": "jax_bt", "matching_heuristics": True}, protocol=3
    )
    return content.replace(b"cnumpy._core.multiarray\n", b"cnumpy.core.multiarray\n", 1)


def detectron2_name(name: str) -> str:
    """Detectron2's name of a torchvision ResNet's array.

    >>> detectron2_name("layer1.0.downsample.1.bias")
    'res2.0.shortcut.norm.bias'
    """
    name = re.sub(r"^layer(\d)", lambda match: f"res{int(match[1]) + 1}", name)
    if not name.startswith("res"):
        name = f"stem.{name}"
    name = re.sub(r"\bbn(\d)\b", r"conv\1.norm", name)
    return name.replace("downsample.0", "shortcut").replace("downsample.1", "shortcut.norm")


def torchvision_name(name: str) -> str:
    """Torchvision's name of a detectron2 ResNet's array.

    >>> torchvision_name("res2.0.shortcut.norm.bias")
    'layer1.0.downsample.1.bias'
    """
    name = re.sub(r"^res(\d)", lambda match: f"layer{int(match[1]) - 1}", name)
    name = name.removeprefix("stem.")
    name = re.sub(r"\bconv(\d)\.norm\b", r"bn\1", name)
    return name.replace("shortcut.norm", "downsample.1").replace("shortcut", "downsample.0")


def is_detectron2(names: Iterable[str]) -> bool:
    """Whether these are detectron2's names of a ResNet."""
    return {"stem.conv1.weight", "stem.conv1.norm.weight"} <= set(names)


def read(content: bytes) -> Any:
    """The object of a pickle of numpy arrays, these as ``Tensor``.

    Raises:
      WeightsError: the pickle is damaged, or names anything else.
    """
    modules = ("numpy.core", "numpy._core")  # before numpy 2, since
    allowed = {
        "numpy.ndarray": None,
        "numpy.dtype": _Dtype,
        "_codecs.encode": _encode,
        "__builtin__.bytes": lambda: b"",  # as protocol 2 has none
        **{f"{module}.multiarray._reconstruct": _reconstruct for module in modules},
        **{f"{module}.numeric._frombuffer": _from_buffer for module in modules},
    }
    return _pickle.load(io.BytesIO(content), allowed, build=_build)


class _Dtype:
    """``numpy.dtype(name, align, copy)``; its byte order comes as its state."""

    def __init__(self, name: Any, *_: Any):
        if type(name) is not str or not re.fullmatch("[fiub][0-9]{1,2}", name):
            raise WeightsError(f"has an array of dtype {shown(name)}, no plain numbers")
        self.dtype = np.dtype(name)


def _reconstruct(*_: Any) -> Tensor:
    """An array whose content comes as its state."""

    def empty() -> np.ndarray:
        raise WeightsError("has no content")

    return Tensor(0, empty)


def _from_buffer(data: Any, dtype: Any, shape: Any, order: Any) -> Tensor:
    """An array as pickle protocol 5 has it."""
    made = _reconstruct()
    _build(made, (1, shape, dtype, order == "F", data))
    return made


def _encode(text: Any, encoding: Any) -> str:
    """Bytes as protocol 2 has them; they stay text until the array is wanted."""
    if type(text) is not str or encoding != "latin1":
        raise WeightsError("its pickle encodes something that is no bytes")
    return text


def _build(target: Any, state: Any) -> None:
    match target, state if _pickle.is_short(state) else None:
        case _Dtype(), (int(), str(order), None, None, None, *_) if order in "<>|=":
            target.dtype = np.dtype(f"{order}{target.dtype.str[1:]}")
        case Tensor(), (
            int(),
            tuple(shape),
            _Dtype(dtype=dtype),
            order,
            str() | bytes() | bytearray() as data,
        ):
            if not _pickle.is_short(shape) or not all(type(n) is int and n >= 0 for n in shape):
                raise WeightsError("has an array whose shape is not of whole numbers")
            if math.prod(shape) * dtype.itemsize != len(data):
                raise WeightsError(f"has an array whose {len(data)} bytes do not fill its shape")
            target.nbytes = len(data)
            target.read = functools.partial(_array, shape, dtype, "F" if order else "C", data)
        case _:
            raise WeightsError("its pickle gives a state to something that is no array")


def _array(
    shape: tuple, dtype: np.dtype, order: Literal["C", "F"], data: str | bytes | bytearray
) -> np.ndarray:
    if isinstance(data, str):
        data = data.encode("latin1")
    return np.ndarray(shape, dtype, bytearray(data), order=order)
