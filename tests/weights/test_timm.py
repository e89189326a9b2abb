"""Names of timm, torchvision, Facebook and VSE++ in and out.

That the numbers land where they belong, the parity tests of tests/models show; here it is names,
shapes, sizes and mistakes.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jax_bt import models, weights

SIZES = {"depths": (1, 1, 2, 1), "dims": (16, 32, 64, 128)}
CLASSIFIERS = ("head.weight", "head.bias", "head.fc", "classifier.2")


def layout(golden, name):
    """The other library's own keys and shapes, with its classifier."""
    data = golden(f"{name}_forward")
    shapes = [tuple(int(n) for n in shape if n) for shape in data["shapes"]]
    return dict(zip(map(str, data["keys"]), shapes, strict=True))


def draw(shapes):
    rng = np.random.default_rng(0)
    return {key: rng.normal(size=shape).astype(np.float32) for key, shape in shapes.items()}


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("vit_p16_64", {"depth": 2, "patch_size": 16, "pool": "token", "class_token": True}),
        ("vit_p8_32_avg", {"depth": 2, "patch_size": 8, "pool": "mean", "class_token": False}),
        ("convnext_timm", SIZES | {"norm_first": False, "layer_scale": 1e-6}),
        ("convnext_timm_normfirst", SIZES | {"norm_first": True, "layer_scale": 1e-6}),
        ("convnext_torchvision", SIZES | {"norm_first": False, "layer_scale": 1e-6}),
        ("convnext_vicregl", SIZES | {"norm_first": True, "layer_scale": 0.0}),
        ("convnext_vicregl_gamma", SIZES | {"norm_first": False, "layer_scale": 1e-6}),
    ],
)
def test_every_layout_is_recognised_and_comes_back_by_timms_names(golden, name, expected):
    shapes = layout(golden, name)
    state_dict = draw(shapes)
    module = weights.module_of(state_dict)
    assert {field: getattr(module, field) for field in expected} == expected
    assert weights.channels_of(state_dict) == 3
    variables = weights.from_state_dict(module, state_dict)
    back = weights.to_state_dict(module, variables)
    assert all(value.flags.c_contiguous for value in back.values())
    kept = {k: v for k, v in state_dict.items() if not k.startswith(CLASSIFIERS)}
    assert sum(v.size for v in back.values()) == sum(v.size for v in kept.values())
    if "vicregl" not in name and "torchvision" not in name:
        assert back.keys() == kept.keys()
        jax.tree.map(np.testing.assert_array_equal, back, kept)
    again = weights.from_state_dict(module, back)
    jax.tree.map(np.testing.assert_array_equal, again, variables)


def test_layouts_of_one_convnext_mean_the_same(golden):
    """timm, torchvision and Facebook list the parameters of a network in different orders."""
    timm = draw(layout(golden, "convnext_timm"))
    module = weights.module_of(timm)
    variables = weights.from_state_dict(module, timm)
    torchvision = weights.to_state_dict(module, variables, "torchvision")
    theirs = layout(golden, "convnext_torchvision")
    kept = {key: shape for key, shape in theirs.items() if not key.startswith("classifier.2")}
    assert {key: value.shape for key, value in torchvision.items()} == kept
    facebook = {
        "downsample_layers.2.1.weight": "stages.2.downsample.1.weight",
        "downsample_layers.0.1.bias": "stem.1.bias",
        "stages.2.1.dwconv.weight": "stages.2.blocks.1.conv_dw.weight",
        "stages.2.1.pwconv1.bias": "stages.2.blocks.1.mlp.fc1.bias",
        "stages.0.0.pwconv2.weight": "stages.0.blocks.0.mlp.fc2.weight",
        "stages.3.0.norm.bias": "stages.3.blocks.0.norm.bias",
        "stages.3.0.gamma": "stages.3.blocks.0.gamma",
    }
    for theirs, ours in facebook.items():
        assert list(weights.timm.timm_names({theirs: np.ones(1)})) == [ours]
    assert set(facebook) <= set(layout(golden, "convnext_vicregl_gamma"))
    for arrays in (torchvision, timm):
        found = weights.from_state_dict(module, arrays)
        jax.tree.map(np.testing.assert_array_equal, found, variables)


def test_the_norm_of_facebooks_names_goes_where_the_module_has_it(golden):
    arrays = draw(layout(golden, "convnext_vicregl_gamma"))
    for first, name in ((False, "head_norm"), (True, "norm_pre")):
        module = models.ConvNeXt(**SIZES, norm_first=first)
        params = weights.from_state_dict(module, arrays)["params"]
        np.testing.assert_array_equal(params[name]["scale"], arrays["norm.weight"])
    timm = weights.to_state_dict(module, {"params": params})
    with pytest.raises(ValueError, match="it has norm_pre.weight; .* norm_first=False has head"):
        weights.from_state_dict(module.clone(norm_first=False), timm)


@pytest.mark.parametrize("name", ["vit_small_patch16", "convnext_toy", "gru_text", "resnet_small"])
def test_every_encoder_goes_out_and_in(name):
    module = models.make(name, **({"depth": 12} if "vit" in name else {}))
    inputs = jnp.zeros((1, 4), jnp.int32) if name == "gru_text" else jnp.zeros((1, 32, 32, 3))
    shapes = jax.eval_shape(module.init, jax.random.key(0), inputs)
    rng = np.random.default_rng(0)
    variables = jax.tree.map(lambda leaf: rng.random(leaf.shape, np.float32), shapes)
    arrays = weights.to_state_dict(module, variables)
    back = weights.from_state_dict(module, arrays)
    jax.tree.map(np.testing.assert_array_equal, back, variables)
    if name == "vit_small_patch16":
        assert weights.module_of(arrays) == module  # depth, width, heads, patch and pool


def test_waveforms_and_wide_resnets_in_torchvisions_names():
    for name, sides in (("wave_resnet18", (64,)), ("wide_resnet50_2", (32, 32))):
        module = models.make(name)
        images = jax.ShapeDtypeStruct((1, *sides, 1), jnp.float32)
        shapes = jax.eval_shape(module.init, jax.random.key(0), images)
        variables = jax.tree.map(lambda leaf: np.zeros(leaf.shape, np.float32), shapes)
        arrays = weights.to_state_dict(module, variables)
        assert weights.module_of(arrays) == module
        back = weights.from_state_dict(module, arrays)
        assert jax.tree.structure(back) == jax.tree.structure(variables)
    assert arrays["layer1.0.conv2.weight"].shape == (128, 128, 3, 3)
    assert arrays["layer1.0.conv3.weight"].shape == (256, 128, 1, 1)


def test_mistakes_are_named(golden):
    good = draw(layout(golden, "vit_p16_64"))
    module = weights.module_of(good)

    def refused(arrays, match, of=module):
        with pytest.raises(ValueError, match=match) as caught:
            weights.from_state_dict(of, arrays)
        assert "\n" not in str(caught.value)

    refused({k: v for k, v in good.items() if k != "norm.bias"}, "ViT: .* 1 missing .*'norm.bias'")
    refused(good | {"reg_token": np.ones((1, 4, 64))}, "1 unknown .such as 'reg_token'")
    refused(
        good | {"norm.bias": np.ones(3)}, r"norm.bias has shape \(3,\).*params/norm/bias \(64,\)"
    )
    refused(good | {"pos_embed": np.ones((1, 16, 64))}, r"pos_embed has shape \(1, 16, 64\)")
    refused(good, "ViT's or ConvNeXt's, and the encoder is a ResNet", models.make("resnet18"))
    refused({}, "missing")
    many = {f"blocks.{i}.a": np.ones(1) for i in range(501)}
    for arrays in (many, {"blocks.0.a": np.ones(1)}, {"stages.1.blocks.0.norm.weight": np.ones(1)}):
        for first in ("patch_embed.proj.weight", "stem.0.weight"):
            with pytest.raises(ValueError, match="no ViT's and no ConvNeXt's"):
                weights.module_of({first: np.ones(3)} | arrays)
    with pytest.raises(ValueError, match="not a torchvision ResNet's"):
        weights.module_of({"a": np.ones(1)})
    with pytest.raises(ValueError, match="this encoder has timm's names only"):
        weights.to_state_dict(module, weights.from_state_dict(module, good), "torchvision")
    with pytest.raises(ValueError, match="batch_stats/a/b is no parameter of an encoder"):
        weights.to_state_dict(module, {"batch_stats": {"a": {"b": np.ones(1)}}})
