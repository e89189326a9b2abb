"""Reads and writes .safetensors files."""

import math
import os
import pathlib
from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp
import numpy as np
import safetensors
import safetensors.numpy

from jax_bt.errors import WeightsError
from jax_bt.weights._limits import Tensor, shown

DTYPES = {
    "F64": np.float64, "F32": np.float32, "F16": np.float16, "BF16": jnp.bfloat16,
    "F8_E4M3": jnp.float8_e4m3fn, "F8_E5M2": jnp.float8_e5m2,
    "I64": np.int64, "I32": np.int32, "I16": np.int16, "I8": np.int8,
    "U64": np.uint64, "U32": np.uint32, "U16": np.uint16, "U8": np.uint8, "BOOL": np.bool_,
}  # fmt: skip


def read(content: bytes) -> dict[str, Tensor]:
    """Arrays by name from the bytes of a file.

    Raises:
      WeightsError: the file is damaged, or has a dtype that numpy has not.
    """
    try:
        found = safetensors.deserialize(content)
    except safetensors.SafetensorError as error:
        raise WeightsError(f"is no whole safetensors file ({shown(error)[1:-1]})") from None
    return {name: _tensor(name, fields) for name, fields in sorted(found, key=_name)}


def _name(entry: tuple[str, Any]) -> str:
    return entry[0]


def _tensor(name: str, fields: Mapping[str, Any]) -> Tensor:
    data, shape = fields["data"], tuple(fields["shape"])
    if fields["dtype"] not in DTYPES:
        raise WeightsError(f"tensor {shown(name)} has dtype {fields['dtype']}, unknown to numpy")
    dtype = np.dtype(DTYPES[fields["dtype"]])
    if math.prod(shape) * dtype.itemsize != len(data):
        raise WeightsError(f"tensor {shown(name)}: {len(data)} bytes do not fill shape {shape}")
    return Tensor(len(data), lambda: np.ndarray(shape, dtype, data))


def metadata(path: str | os.PathLike) -> dict[str, str]:
    """Text stored beside the tensors of a .safetensors file; empty if there is none.

    Raises:
      WeightsError: no such file, or not a sound one.
    """
    try:
        with safetensors.safe_open(path, framework="np") as file:
            return file.metadata() or {}
    except (OSError, safetensors.SafetensorError) as error:
        raise WeightsError(f"{path}: no safetensors file ({shown(error)[1:-1]})") from None


def write_safetensors(
    path: str | os.PathLike,
    arrays: Mapping[str, Any],
    metadata: Mapping[str, str] | None = None,
) -> None:
    """Writes arrays by name; the file appears whole or not at all.

    Args:
      path: of the file; one that is there is replaced.
      arrays: numpy or JAX arrays, of any strides.
      metadata: text to store beside them, such as the method, the step and the pixels' mean.

    Raises:
      WeightsError: the file cannot be written there.
    """
    contiguous = {name: np.asarray(array, order="C") for name, array in arrays.items()}
    content = safetensors.numpy.save(contiguous, dict(metadata) if metadata else None)
    path = pathlib.Path(path).expanduser()
    partial = path.with_name(f"{path.name}.partial")
    try:
        partial.write_bytes(content)
        partial.replace(path)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise WeightsError(f"{path}: cannot be written ({error.strerror})") from None
