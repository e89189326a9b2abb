"""Reads torch's .pth files, zip and legacy, without torch and without running anything of theirs.

Zip (torch 1.6 and later): a folder with ``data.pkl``, whose tensors refer to storages, and one
stored member ``data/<key>`` per storage. Legacy: pickles in a row, of a magic number, a protocol
number, the system, the object and the storages' keys; then each storage, its number of elements
before its bytes. A tensor is a strided view of its storage, and stays one here.

Reference: torch/serialization.py, torch/_weights_only_unpickler.py
"""

import functools
import io
import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, BinaryIO

import jax.numpy as jnp
import numpy as np

from jax_bt.errors import WeightsError
from jax_bt.weights import _pickle
from jax_bt.weights._limits import Tensor, shown
from jax_bt.weights._zip import Archive

MAGIC = 0x1950A86A20F9469CFC6C
MAGIC_OPCODE = b"\x8a\x0a" + MAGIC.to_bytes(10, "little")  # LONG1 of ten bytes
PROTOCOL = 1001
PICKLE = re.compile("([^/]+/)?data[.]pkl")  # the member of a zip file that holds the object
DTYPES = {
    "DoubleStorage": "<f8", "FloatStorage": "<f4", "HalfStorage": "<f2",
    "BFloat16Storage": jnp.bfloat16,
    "LongStorage": "<i8", "IntStorage": "<i4", "ShortStorage": "<i2", "CharStorage": "i1",
    "ByteStorage": "u1", "BoolStorage": "?",
}  # fmt: skip


@dataclass(frozen=True)
class Storage:
    """What a pickle says of a storage: ``numel`` elements under a key of the file."""

    key: str
    dtype: np.dtype
    numel: int

    @property
    def nbytes(self) -> int:
        return self.numel * self.dtype.itemsize


def read_zip(archive: Archive) -> Any:
    """The object of a zip file, its tensors as ``Tensor``.

    Raises:
      WeightsError: another kind of archive, a damaged file, or a pickle of more than weights.
    """
    name = next(filter(PICKLE.fullmatch, archive.sizes))
    folder = name.removesuffix("data.pkl")
    if f"{folder}constants.pkl" in archive.sizes:
        raise WeightsError("is a TorchScript archive, a program; save its state dict instead")
    order = f"{folder}byteorder"
    if order in archive.sizes and archive.read(order) != b"little":
        raise WeightsError("was written on a big-endian machine")

    def content(storage: Storage) -> bytearray:
        member = f"{folder}data/{storage.key}"
        if archive.sizes.get(member, -1) < storage.nbytes:
            has = archive.sizes.get(member, "no")
            raise WeightsError(
                f"storage {shown(storage.key)} has {has} bytes; {storage.nbytes} were saved"
            )
        return bytearray(archive.read(member))

    return _object(io.BytesIO(archive.read(name)), content, {})


def read_legacy(file: bytes) -> Any:
    """The object of a legacy file, its tensors as ``Tensor``.

    Raises:
      WeightsError: a damaged file, or a pickle of more than weights.
    """
    stream = io.BytesIO(file)
    magic, protocol, system = (_pickle.load(stream, {}) for _ in range(3))
    if magic != MAGIC or protocol != PROTOCOL or type(system) is not dict:
        raise WeightsError("has torch's magic number but not its legacy layout")
    if system.get("little_endian") is not True:
        raise WeightsError("was written on a big-endian machine")
    storages: dict[str, Storage] = {}
    starts: dict[str, int] = {}

    def content(storage: Storage) -> bytearray:
        if storage.key not in starts:
            raise WeightsError(f"storage {shown(storage.key)} is missing")
        start = starts[storage.key]
        return bytearray(memoryview(file)[start : start + storage.nbytes])

    tree = _object(stream, content, storages)
    keys = _pickle.load(stream, {})
    if type(keys) is not list or not all(type(key) is str for key in keys):
        raise WeightsError("has no list of storages behind its object")
    position = stream.tell()
    for key in keys:
        numel = int.from_bytes(file[position : position + 8], "little", signed=True)
        if key not in storages or numel != storages[key].numel:
            raise WeightsError(f"storage {shown(key)} is cut short or of another size")
        starts[key] = position + 8
        position = starts[key] + storages[key].nbytes
        if position > len(file):
            raise WeightsError(f"storage {shown(key)} is cut short")
    return tree


def _object(
    stream: BinaryIO, content: Callable[[Storage], bytearray], storages: dict[str, Storage]
) -> Any:
    """The pickled object; notes in ``storages`` those it refers to, and reads them when needed."""
    content = functools.cache(content)  # tensors that share a storage share its memory

    def persistent(identity: Any) -> Storage:
        match identity if _pickle.is_short(identity) else None:
            case ("storage", np.dtype() as dtype, str(key), str(), int(numel), *view) if (
                numel >= 0 and view in ([], [None])
            ):
                found = Storage(key, dtype, numel)
                if storages.setdefault(key, found) != found:
                    raise WeightsError(f"storage {shown(key)} is of two types or sizes")
                return found
        raise WeightsError("its pickle refers to something that is no plain storage")

    def rebuild_tensor(storage: Any, offset: Any, size: Any, stride: Any, *_: Any) -> Tensor:
        sound = _pickle.is_short(size) and _pickle.is_short(stride) and len(size) == len(stride)
        if not sound or not all(type(n) is int and n >= 0 for n in (offset, *size, *stride)):
            raise WeightsError("has a tensor whose size, stride or offset is not of whole numbers")
        if type(storage) is not Storage:
            raise WeightsError("has a tensor without a storage")
        nbytes = math.prod(size) * storage.dtype.itemsize
        return Tensor(nbytes, lambda: _view(storage, content, offset, size, stride))

    def rebuild_parameter(data: Any, *_: Any) -> Tensor:
        if type(data) is not Tensor:
            raise WeightsError("has a parameter that is no tensor")
        return data

    def torch_size(numbers: Any) -> Any:
        return numbers  # the tuple itself: a copy of it could be asked for a million times

    allowed = {f"torch.{name}": np.dtype(dtype) for name, dtype in DTYPES.items()} | {
        "collections.OrderedDict": _ordered_dict,
        "torch.Size": torch_size,
        "torch._utils._rebuild_tensor_v2": rebuild_tensor,
        "torch._utils._rebuild_parameter": rebuild_parameter,
    }
    return _pickle.load(stream, allowed, persistent=persistent, build=_attributes)


def _view(
    storage: Storage,
    content: Callable[[Storage], bytearray],
    offset: int,
    size: tuple[int, ...],
    stride: tuple[int, ...],
) -> np.ndarray:
    """The array with that offset and those strides, counted in elements, of a storage."""
    if 0 in size:
        return np.empty(size, storage.dtype)
    stride = tuple(s if n > 1 else 0 for n, s in zip(size, stride, strict=True))
    last = offset + sum((n - 1) * s for n, s in zip(size, stride, strict=True))
    if last >= storage.numel:
        raise WeightsError(
            f"reaches to element {last} of storage {shown(storage.key)}, which has {storage.numel}"
        )
    width = storage.dtype.itemsize
    strides = tuple(s * width for s in stride)
    return np.ndarray(size, storage.dtype, content(storage), offset * width, strides)


def _ordered_dict(pairs: Any = None) -> dict:
    """A dict. Python 2 wrote its items as an argument: used up, so that none is copied twice."""
    made: dict = {}
    if type(pairs) is list:
        _pickle.set_items(made, pairs)
        pairs.clear()
    return made


def _attributes(target: Any, state: Any) -> None:
    """State dicts carry an attribute, ``_metadata``, with versions of modules: of no use here."""
    if type(target) is not dict:
        raise WeightsError("its pickle gives a state to something that is no dict")
