"""ONNX files, run by onnxruntime and compared with the encoders that they came from."""

import importlib.util

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jax_bt import models, weights
from jax_bt.errors import UsageError, WeightsError
from jax_bt.train import export
from jax_bt.train.encoder import Encoder
from jax_bt.weights.write_onnx import write_onnx

HAVE = all(importlib.util.find_spec(name) for name in ("jax2onnx", "onnxruntime"))
needs_onnx = pytest.mark.skipif(not HAVE, reason="jax2onnx and onnxruntime are not installed")


def encoder_of(name, side=32, **options):
    """Random weights, statistics included: zeros and ones would hide a mistake."""
    module = models.make(name, **options)
    made = module.init(jax.random.key(0), jnp.zeros((1, side, side, 3)), train=False)
    rng = np.random.default_rng(0)
    made = jax.tree.map(lambda x: np.float32(x + 0.1 * rng.uniform(size=x.shape)), made)
    card = weights.Card({"name": name, **options}, image_size=side)
    return Encoder(module, made, card)


@needs_onnx
@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("resnet18", {"features": 8}),  # the stem with max-pool
        ("resnet_small", {"stem": "cifar"}),
        ("resnet_small", {"dtype": "bfloat16"}),
        ("vit_toy_patch4", {}),
        ("convnext_toy", {}),
    ],
)
def test_onnxruntime_computes_the_same_for_any_batch(name, options, tmp_path):
    import onnxruntime

    encoder = encoder_of(name, **options)
    path = export.export(encoder, "onnx", tmp_path / "encoder.onnx")
    assert path.with_suffix(".json").exists()
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    wide = encoder.module.clone(dtype=jnp.float32)
    for count in (1, 3):
        images = np.random.default_rng(count).normal(size=(count, 32, 32, 3)).astype(np.float32)
        (found,) = session.run(["features"], {"images": images})
        single = np.asarray(wide.apply(encoder.variables, images, train=False))
        with jax.enable_x64(True):
            exact = encoder.module.clone(dtype=jnp.float64, param_dtype=jnp.float64)
            double = jax.tree.map(np.float64, encoder.variables)
            expected = np.asarray(exact.apply(double, np.float64(images), train=False))
        # The same sums in another order: rounding as large as our own float32's, up to chance.
        rounding = np.abs(single - expected).max()
        np.testing.assert_allclose(found, expected, rtol=0, atol=8 * rounding)
        assert rounding < 1e-5 * np.abs(expected).max()


@needs_onnx
def test_a_converter_that_is_wrong_leaves_no_file(monkeypatch, tmp_path):
    import jax2onnx

    right = jax2onnx.to_onnx
    wrong = lambda f, *given, **options: right(lambda x: 1.01 * f(x), *given, **options)  # noqa: E731
    monkeypatch.setattr(jax2onnx, "to_onnx", wrong)
    path = tmp_path / "encoder.onnx"
    with pytest.raises(WeightsError, match="is not written: converted features are off by 0.0"):
        write_onnx(path, lambda x: jnp.sum(jnp.abs(x), (1, 2)) / 16, (4, 4, 3))
    assert not path.exists()


def test_without_the_packages_one_line_says_what_to_install(monkeypatch, tmp_path):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UsageError, match="^--format=onnx needs jax2onnx and onnxruntime: pip inst"):
        export.check_output("onnx", tmp_path / "encoder.onnx")
