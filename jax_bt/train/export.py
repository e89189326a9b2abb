"""Writes a trained encoder for other programs, and beside every finished run."""

import os
import pathlib
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from etils import epath

from jax_bt import weights
from jax_bt.errors import UsageError
from jax_bt.train.encoder import CARD, WEIGHTS, Encoder, load
from jax_bt.train.workdir import remote, write_whole
from jax_bt.weights.detectron2_configs import configs
from jax_bt.weights.write_onnx import check_packages, write_onnx
from jax_bt.weights.write_pth import write_pth

FORMATS = {
    "torchvision": ".pth",
    "timm": ".pth",
    "safetensors": ".safetensors",
    "npz": ".npz",
    "detectron2": ".pkl",
    "stablehlo": ".stablehlo",
    "onnx": ".onnx",
}


def leave(encoder: Encoder, folder: epath.Path) -> None:
    """Leaves encoder.safetensors and card.json in a run's folder, and reads them back.

    What was read is compared with the live encoder: the arrays bit for bit, the features to
    rounding, since the compiler may choose other kernels.

    Raises:
      AssertionError: they differ, which is a bug.
    """
    target = folder / WEIGHTS
    if remote(folder):  # the package writes local files only
        return
    weights.write_safetensors(target, encoder.state_dict(), _metadata(encoder))
    write_whole(folder / CARD, encoder.card.to_json())
    size, channels = encoder.card.image_size, len(encoder.card.mean)
    images = np.random.default_rng(0).normal(size=(2, size, size, channels)).astype(np.float32)
    found = load(folder)
    jax.tree.map(np.testing.assert_array_equal, found.variables, jax.device_get(encoder.variables))
    ours, theirs = (np.asarray(e.apply()(images)) for e in (encoder, found))
    np.testing.assert_allclose(theirs, ours, rtol=1e-3, atol=1e-3 * np.abs(ours).max())


def check_output(form: str, output: str | os.PathLike[str]) -> pathlib.Path:
    """The path to write to; refused before anything is loaded.

    Raises:
      UsageError: an unknown format, another suffix, a folder that does not exist, or packages that
        "onnx" needs.
    """
    if form not in FORMATS:
        raise UsageError(f"--format={form}: choose one of {', '.join(FORMATS)}")
    path = pathlib.Path(output).expanduser()
    if path.suffix != FORMATS[form] or not path.parent.is_dir():
        raise UsageError(f"--output={output}: give a {FORMATS[form]} file in a folder that exists")
    if form == "onnx":
        check_packages()
    return path


def export(encoder: Encoder, form: str, output: str | os.PathLike[str]) -> pathlib.Path:
    """Writes an encoder for other programs.

    Args:
      encoder: from ``load``.
      form: "torchvision" or "timm" (a .pth that torch.load reads, by those names, which for a
        ResNet are the same), "safetensors" and "npz" (torchvision's names for a ResNet, timm's for
        others), "detectron2" (of a ResNet: pickle, and its three config files
        beside it), "stablehlo" (the forward pass with its weights, from normalised images (b, S,
        S, C) float32 to features, for jax.export.deserialize on a CPU, GPU or TPU) or "onnx" (the
        same for onnxruntime, in float32, from "images" to "features").
      output: path of the file.

    Returns:
      The path.

    Raises:
      UsageError: an unknown format, or a path that cannot be written.
      WeightsError: an encoder that the format does not know, or features that "onnx" changed.
    """
    path = check_output(form, output)
    write: dict[str, Callable[[], object]] = {
        "torchvision": lambda: write_pth(path, encoder.state_dict("torchvision")),
        "timm": lambda: write_pth(path, encoder.state_dict("timm")),
        "safetensors": lambda: weights.write_safetensors(
            path, encoder.state_dict(), _metadata(encoder)
        ),
        "npz": lambda: np.savez(path, **encoder.state_dict()),
        "detectron2": lambda: _detectron2(encoder, path),
        "stablehlo": lambda: path.write_bytes(_stablehlo(encoder)),
        "onnx": lambda: _onnx(encoder, path),
    }
    try:
        write[form]()
        path.with_suffix(".json").write_text(encoder.card.to_json())
    except OSError as error:
        raise UsageError(f"--output={output} cannot be written: {error.strerror}") from error
    return path


def _metadata(encoder: Encoder) -> dict[str, str]:
    return {"format": weights.layout_of(encoder.module), "card": encoder.card.to_json()}


def _detectron2(encoder: Encoder, path: pathlib.Path) -> None:
    path.write_bytes(weights.to_detectron2(encoder.variables))
    for name, text in configs(path.name).items():
        path.with_name(f"{path.stem}_{name}.yaml").write_text(text)


def _stablehlo(encoder: Encoder) -> bytes:
    """The forward pass with its weights, for any number of images and any kind of device."""
    size, channels = encoder.card.image_size, len(encoder.card.mean)
    (count,) = jax.export.symbolic_shape("b")
    images = jax.ShapeDtypeStruct((count, size, size, channels), jnp.float32)
    forward = jax.jit(lambda x: encoder.module.apply(encoder.variables, x, train=False))
    made = jax.export.export(forward, platforms=("cpu", "cuda", "tpu"))(images)
    return bytes(made.serialize())


def _onnx(encoder: Encoder, path: pathlib.Path) -> None:
    module = encoder.module.clone(dtype=jnp.float32)  # runtimes on a CPU lack bfloat16
    size, channels = encoder.card.image_size, len(encoder.card.mean)
    write_onnx(
        path,
        lambda x: module.apply(encoder.variables, x, train=False),
        (size, size, channels),
    )
