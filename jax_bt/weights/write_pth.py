"""Writes a state dict as a .pth file that ``torch.load`` reads, without torch.

The file is torch's zip format: a pickle of an OrderedDict of tensors, whose numbers lie beside it.
The pickle is put together from its few opcodes, since Python's own pickler would import torch.
"""

import io
import os
import pickle
import struct
import zipfile
from collections.abc import Mapping

import numpy as np

from jax_bt.errors import WeightsError

STORAGES = {
    "float32": "FloatStorage",
    "float64": "DoubleStorage",
    "float16": "HalfStorage",
    "int64": "LongStorage",
    "int32": "IntStorage",
}


def write_pth(path: str | os.PathLike[str], arrays: Mapping[str, np.ndarray]) -> None:
    """Writes arrays as a state dict.

    Args:
      path: of the file; written whole or not at all.
      arrays: by name; float32, float64, float16, int64 or int32.

    Raises:
      WeightsError: another dtype.
    """
    arrays = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    for name, array in arrays.items():
        if array.dtype.name not in STORAGES:
            raise WeightsError(f"{name} is {array.dtype}: a .pth takes {', '.join(STORAGES)}")
    partial = f"{os.fspath(path)}.partial"
    with zipfile.ZipFile(partial, "w", zipfile.ZIP_STORED) as file:
        file.writestr("archive/data.pkl", _pickled(arrays))
        file.writestr("archive/byteorder", b"little")
        for number, array in enumerate(arrays.values()):
            little = array.astype(array.dtype.newbyteorder("<"), copy=False)
            file.writestr(f"archive/data/{number}", little.tobytes())
        file.writestr("archive/version", b"3\n")
    os.replace(partial, path)


def _pickled(arrays: Mapping[str, np.ndarray]) -> bytes:
    """OrderedDict of torch._utils._rebuild_tensor_v2(storage, 0, shape, strides, False, {})."""
    out = io.BytesIO()
    out.write(pickle.PROTO + b"\x02")
    _empty_ordered_dict(out)
    out.write(pickle.MARK)
    for number, (name, array) in enumerate(arrays.items()):
        _text(out, name)
        _name(out, "torch._utils", "_rebuild_tensor_v2")
        out.write(pickle.MARK)
        out.write(pickle.MARK)
        _text(out, "storage")
        _name(out, "torch", STORAGES[array.dtype.name])
        _text(out, str(number))
        _text(out, "cpu")
        _whole(out, array.size)
        out.write(pickle.TUPLE + pickle.BINPERSID)
        _whole(out, 0)
        _tuple(out, array.shape)
        _tuple(out, [stride // array.itemsize for stride in array.strides])
        out.write(pickle.NEWFALSE)
        _empty_ordered_dict(out)
        out.write(pickle.TUPLE + pickle.REDUCE)
    out.write(pickle.SETITEMS + pickle.STOP)
    return out.getvalue()


def _empty_ordered_dict(out: io.BytesIO) -> None:
    _name(out, "collections", "OrderedDict")
    out.write(pickle.EMPTY_TUPLE + pickle.REDUCE)


def _name(out: io.BytesIO, module: str, name: str) -> None:
    out.write(pickle.GLOBAL + f"{module}\n{name}\n".encode())


def _text(out: io.BytesIO, text: str) -> None:
    encoded = text.encode()
    out.write(pickle.BINUNICODE + struct.pack("<I", len(encoded)) + encoded)


def _whole(out: io.BytesIO, number: int) -> None:
    encoded = pickle.encode_long(number)
    out.write(pickle.LONG1 + bytes([len(encoded)]) + encoded)


def _tuple(out: io.BytesIO, numbers) -> None:
    out.write(pickle.MARK)
    for number in numbers:
        _whole(out, int(number))
    out.write(pickle.TUPLE)
