"""Writes torch's files opcode by opcode: any tensor, any damage, no torch."""

import io
import struct
import zipfile
from typing import NamedTuple

import numpy as np

NAMES = {"f8": "Double", "f4": "Float", "f2": "Half", "i8": "Long", "u1": "Byte", "b1": "Bool"}
REBUILD = b"ctorch._utils\n_rebuild_tensor_v2\n"
MAGIC = b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19."


class Tensor(NamedTuple):
    """A view of a storage; ``key`` None gives each its own."""

    data: np.ndarray
    offset: int = 0
    size: tuple | None = None
    stride: tuple | None = None
    key: str | None = None
    numel: int | None = None


def number(n):
    return b"\x8a\x11" + n.to_bytes(17, "little", signed=True)


def text(s):
    return b"X" + struct.pack("<I", len(s.encode())) + s.encode()


def sequence(*items):
    return b"(" + b"".join(items) + b"t"


def call(name, *arguments):
    """``name`` as "module function" called with pickled arguments."""
    return b"c" + name.replace(" ", "\n").encode() + b"\n" + sequence(*arguments) + b"R"


def tensor(view, key, legacy=False):
    kind = NAMES[view.data.dtype.str[1:]]
    numel = view.data.size if view.numel is None else view.numel
    size = view.data.shape if view.size is None else view.size
    steps = np.array(view.data.strides) // view.data.itemsize
    stride = steps.tolist() if view.stride is None else view.stride
    identity = sequence(
        text("storage"), f"ctorch\n{kind}Storage\n".encode(), text(key), text("cuda:0"),
        number(numel), *([b"N"] if legacy else []),
    )  # fmt: skip
    return (
        REBUILD
        + sequence(
            identity + b"Q",
            number(view.offset),
            sequence(*map(number, size)),
            sequence(*map(number, stride)),
            b"\x89",
            call("collections OrderedDict"),
        )  # fmt: skip
        + b"R"
    )


def _pickled(tree, storages, legacy):
    if isinstance(tree, dict):
        body = b"".join(text(k) + _pickled(v, storages, legacy) for k, v in tree.items())
        return b"ccollections\nOrderedDict\n)R(" + body + b"u"
    if isinstance(tree, bytes):  # pickled already
        return tree
    if isinstance(tree, int):
        return number(tree)
    view = tree if isinstance(tree, Tensor) else Tensor(np.ascontiguousarray(tree))
    key = view.key or str(len(storages))
    storages[key] = view.data
    return tensor(view, key, legacy)


def write_zip(tree, compression=zipfile.ZIP_STORED):
    """A zip file; ``tree``: nested dicts of arrays, Tensors, integers or pickled bytes."""
    storages, out = {}, io.BytesIO()
    pickled = b"\x80\x02" + _pickled(tree, storages, False) + b"."
    with zipfile.ZipFile(out, "w", compression) as file:
        file.writestr("archive/data.pkl", pickled)
        for key, data in storages.items():
            file.writestr(f"archive/data/{key}", data.tobytes())
        file.writestr("archive/version", b"3\n")
    return out.getvalue()


def write_legacy(tree):
    """A legacy file of the same."""
    storages = {}
    pickled = b"\x80\x02" + _pickled(tree, storages, True) + b"."
    system = b"\x80\x02}" + text("little_endian") + b"\x88s."
    keys = b"\x80\x02](" + b"".join(map(text, storages)) + b"e."
    content = MAGIC + b"\x80\x02M\xe9\x03." + system + pickled + keys
    for data in storages.values():
        content += struct.pack("<q", data.size) + data.tobytes()
    return content
