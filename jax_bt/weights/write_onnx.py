"""Writes an encoder's forward pass as an ONNX file and runs it once. Needs the extra ``onnx``."""

import importlib.util
import logging
import pathlib
from collections.abc import Callable

import jax
import numpy as np
from jax import Array

from jax_bt.errors import UsageError, WeightsError

PACKAGES = ("jax2onnx", "onnxruntime")


def check_packages() -> None:
    """Raises UsageError unless the converter and the runtime that checks it are installed."""
    missing = [name for name in PACKAGES if importlib.util.find_spec(name) is None]
    if missing:
        raise UsageError(
            f"--format=onnx needs {' and '.join(missing)}: pip install {' '.join(PACKAGES)}"
        )


def write_onnx(
    path: pathlib.Path, forward: Callable[[Array], Array], shape: tuple[int, int, int]
) -> None:
    """Writes a function of images with its weights as constants.

    Args:
      path: of the file.
      forward: from (b, H, W, C) float32 images to (b, F) features, for any b.
      shape: (H, W, C).

    Raises:
      UsageError: a package is not installed.
      WeightsError: the file does not compute what ``forward`` does, to 1e-4 of the largest feature
        (it is run on two random images).
    """
    check_packages()
    import jax2onnx  # pyright: ignore[reportMissingImports] (an extra)
    import onnxruntime  # pyright: ignore[reportMissingImports] (an extra)

    logging.getLogger("onnx_ir").setLevel(logging.ERROR)  # it warns of each shape that it infers
    model = jax2onnx.to_onnx(
        forward,
        [("b", *shape)],
        model_name=path.stem,
        input_names=["images"],
        output_names=["features"],
    ).SerializeToString()
    images = np.random.default_rng(0).normal(size=(2, *shape)).astype(np.float32)
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    (found,) = session.run(["features"], {"images": images})
    with jax.default_matmul_precision("highest"):
        expected = np.asarray(jax.jit(forward)(images))
    error, largest = np.abs(found - expected).max(), np.abs(expected).max()
    if not error <= 1e-4 * largest:
        raise WeightsError(
            f"{path} is not written: converted features are off by {error:.1g} of {largest:.1g}"
        )
    path.write_bytes(model)
