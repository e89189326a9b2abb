"""Reads .npz files, compressed or not."""

import io
import math
import warnings

import numpy as np

from jax_bt.errors import WeightsError
from jax_bt.weights._limits import Tensor, shown
from jax_bt.weights._zip import Archive

HEADERS = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}


def read(archive: Archive) -> dict[str, Tensor]:
    """Arrays of numbers by name; those of text are left out.

    Raises:
      WeightsError: an array is damaged, holds Python objects or has fields.
    """
    arrays = {name.removesuffix(".npy"): _array(name, archive.read(name)) for name in archive.sizes}
    return {
        name: Tensor(array.nbytes, lambda array=array: array)
        for name, array in arrays.items()
        if array.dtype.kind not in "SU"
    }


def _array(name: str, content: bytes) -> np.ndarray:
    """The array of a .npy file.

    ``np.load`` would allocate the shape that the header states before it looks for the data.
    """
    stream = io.BytesIO(content)
    try:
        with warnings.catch_warnings(action="ignore"):  # of odd headers that are read all the same
            shape, fortran, dtype = HEADERS[np.lib.format.read_magic(stream)](stream)
    except Exception as error:  # the header is Python source, parsed: errors of many kinds
        raise WeightsError(f"array {shown(name)}: no .npy header ({shown(error)[1:-1]})") from None
    if dtype.hasobject or dtype.kind not in "biufcSU":
        raise WeightsError(f"array {shown(name)} holds {shown(dtype)[1:-1]}, no plain numbers")
    data = memoryview(content)[stream.tell() :]
    if min(shape, default=0) < 0 or math.prod(shape) * dtype.itemsize != len(data):
        raise WeightsError(f"array {shown(name)}: {len(data)} bytes do not fill its shape")
    return np.ndarray(shape, dtype, bytearray(data), order="F" if fortran else "C")
