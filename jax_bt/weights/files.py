"""Reads files of weights, told apart by what is in them rather than by their names."""

import os
import pathlib
from typing import Any, BinaryIO

import numpy as np

from jax_bt.errors import WeightsError
from jax_bt.weights import detectron2, names, npz, pth, safetensors
from jax_bt.weights._limits import Tensor, most_bytes, shown
from jax_bt.weights._zip import Archive

# What people take for weights: where its bytes lie, which they are, what to do.
OTHERS = (
    (257, b"ustar", "is a tar archive, as torch before 0.2 wrote; save it anew with a later torch"),
    (0, b"\x1f\x8b", "is compressed by gzip; unpack it first"),
    (0, b"\x89HDF", "is an HDF5 file; save it as .npz or .safetensors"),
    (0, b"version https://git-lfs", "is a pointer of Git LFS; fetch the file itself: git lfs pull"),
    (0, b"<", "is a web page or XML, perhaps of a download that failed"),
)


def read(path: str | os.PathLike, *, strip: bool = True) -> dict[str, np.ndarray]:
    """Arrays by name from a .safetensors, .npz, .pth, .pt, .pth.tar, .ckpt or detectron2 .pkl file.

    Needs no torch. Nothing in a file is run, whatever it holds; one that cannot be read as plain
    arrays is refused. Tensors of a .pth that share a storage share its memory here too.

    Args:
      path: of the file. Its content says which format it has: torch's zip or legacy format,
        safetensors, npz, or a pickle of numpy arrays.
      strip: give the arrays of the encoder alone, by torchvision's names (or timm's): out of
        dicts such as {"model": ...} or {"state_dict": ...}, without prefixes such as
        "module.backbone.", without projectors and other heads, detectron2's names translated. A
        file in which no ResNet, ViT or ConvNeXt is found keeps its names. False gives all arrays
        of the model by the file's names.

    Returns:
      Arrays of the file's shapes and dtypes, bfloat16 as ml_dtypes has it, in the file's order
      (of safetensors, which keep none, by name).

    Raises:
      WeightsError: the file is missing, damaged, of another format, or holds more than weights;
        one line that says what and where.
    """
    path = pathlib.Path(path).expanduser()
    try:
        if not path.is_file():  # a pipe would be waited for
            raise WeightsError("is no file" if path.exists() else "does not exist")
        with path.open("rb") as file:
            return read_stream(file, strip=strip)
    except OSError as error:
        raise WeightsError(f"{path}: cannot be read ({error.strerror})") from None
    except WeightsError as error:
        raise WeightsError(f"{path}: {error}") from None


def read_stream(file: BinaryIO, *, strip: bool = True) -> dict[str, np.ndarray]:
    """``read`` from an open binary file, which must be seekable."""
    size = file.seek(0, os.SEEK_END)
    tensors = names.state_dict(_tree(file, size))
    if strip and detectron2.is_detectron2(tensors):
        tensors = {detectron2.torchvision_name(name): tensors[name] for name in tensors}
    if strip:
        tensors = names.without_prefix(tensors)
    most = most_bytes(size)
    if sum(tensor.nbytes for tensor in tensors.values()) > most:
        raise WeightsError(f"has {size:,} bytes; its tensors would take more than {most:,}")
    return {name: _array(name, tensor) for name, tensor in tensors.items()}


def _tree(file: BinaryIO, size: int) -> Any:
    """Tensors of the file in dicts as it has them."""
    file.seek(0)
    head = file.read(512)
    file.seek(0)
    if head[:4] in (b"PK\x03\x04", b"PK\x05\x06"):
        archive = Archive(file, size)
        if any(map(pth.PICKLE.fullmatch, archive.sizes)):
            return pth.read_zip(archive)
        if all(name.endswith(".npy") for name in archive.sizes):
            return npz.read(archive)
        raise WeightsError("is a zip archive of neither torch (no data.pkl) nor numpy (.npy)")
    if pth.MAGIC_OPCODE in head[:32]:
        return pth.read_legacy(file.read(size))
    if head[8:9] == b"{":  # behind the header's length
        return safetensors.read(file.read(size))
    if head[:1] == b"\x80":
        return detectron2.read(file.read(size))
    for start, magic, what in OTHERS:
        if head.startswith(magic, start):
            raise WeightsError(what)
    begin = f"begins with {head[:12]!r}" if head else "is empty"
    raise WeightsError(f"{begin}; it is no safetensors, npz, torch or detectron2 file")


def _array(name: str, tensor: Tensor) -> np.ndarray:
    try:
        array = tensor.read()
    except (ValueError, OverflowError) as error:  # numpy's, of shapes that it cannot hold, or ours
        what = error if isinstance(error, WeightsError) else shown(error)[1:-1]
        raise WeightsError(f"tensor {shown(name)}: {what}") from None
    return array.astype(array.dtype.newbyteorder("="), copy=False)  # JAX takes no other
