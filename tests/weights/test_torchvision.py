"""Torchvision's layout in and out. That the numbers land where they belong, the parity tests of
tests/models/test_resnet.py show; here it is names, order, shapes and mistakes."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jax_bt import models, weights


def layout(golden, name):
    """Torchvision's own keys and shapes, in its order, without the classifier."""
    data = golden(f"{name}_forward")
    return {
        str(key): tuple(int(n) for n in shape if n)
        for key, shape in zip(data["keys"], data["shapes"], strict=True)
        if not key.startswith("fc.")
    }


def draw(shapes):
    rng = np.random.default_rng(0)
    return {key: rng.normal(size=shape).astype(np.float32) for key, shape in shapes.items()}


def abstract(name, **options):
    module = models.make(name, **options)
    return jax.eval_shape(module.init, jax.random.key(0), jnp.zeros((1, 32, 32, 3)))


@pytest.mark.parametrize(
    ("name", "options", "file"),
    [
        ("resnet18", {}, "resnet18"),
        ("resnet50", {}, "resnet50"),
        ("resnet18", {"stem": "cifar"}, "resnet18_cifar"),
    ],
)
def test_round_trip_has_torchvisions_names_shapes_and_order(golden, name, options, file):
    shapes = layout(golden, file)
    state_dict = draw(shapes)
    variables = weights.from_torchvision(state_dict)
    expected = abstract(name, **options)
    assert jax.tree.structure(variables) == jax.tree.structure(expected)
    jax.tree.map(lambda a, b: np.testing.assert_equal(a.shape, b.shape), variables, expected)
    back = weights.to_torchvision(variables)
    assert list(back) == list(shapes)
    for key, value in back.items():
        assert value.flags.c_contiguous and value.shape == shapes[key]
        counter = key.endswith("num_batches_tracked")
        np.testing.assert_array_equal(value, 0 if counter else state_dict[key])


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("resnet34", {}),
        ("resnet200", {"features": 4}),
        ("resnet50", {"features": 8, "width": 2}),
        ("resnet18", {"stem": "cifar_pad2", "features": 16}),
        ("resnet_small", {}),
    ],
)
def test_every_depth_and_width_comes_back(name, options):
    rng = np.random.default_rng(0)
    variables = jax.tree.map(
        lambda leaf: rng.random(leaf.shape, np.float32), abstract(name, **options)
    )
    back = weights.from_torchvision(weights.to_torchvision(variables))
    jax.tree.map(np.testing.assert_array_equal, back, variables)


def test_classifier_and_counters_may_be_there_or_not(golden):
    full = draw(layout(golden, "resnet18"))
    bare = {k: v for k, v in full.items() if not k.endswith("num_batches_tracked")}
    full |= {"fc.weight": np.zeros((1000, 512)), "fc.bias": np.zeros(1000)}
    jax.tree.map(
        np.testing.assert_array_equal,
        weights.from_torchvision(full),
        weights.from_torchvision(bare),
    )


def test_mistakes_are_named(golden):
    good = draw(layout(golden, "resnet18"))

    def refused(state_dict, match):
        with pytest.raises(ValueError, match=match) as caught:
            weights.from_torchvision(state_dict)
        assert "\n" not in str(caught.value)

    missing = {k: v for k, v in good.items() if k != "layer3.1.bn2.running_var"}
    refused(missing, r"1 missing.*layer3\.1\.bn2\.running_var")
    refused(good | {"layer1.0.conv9.weight": np.ones(1)}, r"1 unknown.*layer1\.0\.conv9\.weight")
    prefixed = {f"module.backbone.{k}": v for k, v in good.items()}
    refused(prefixed, "not a torchvision ResNet's.*names begin with 'module.backbone.': take those")
    refused(prefixed | {f"b.{k}": v for k, v in good.items()}, "with 'b.' or 'module.backbone.'")
    refused({}, "not a torchvision ResNet's")
    refused({"a\nb": np.ones(1)}, r"1 keys such as 'a\\nb'")
    refused(good | {"layer1.0.a\nb": np.ones(1)}, r"1 unknown .such as 'layer1.0.a\\nb'")
    refused(good | {"conv1.weight": np.ones((0, 3, 7, 7))}, "not a torchvision ResNet's")
    for gap in ("layer9.0", "layer1.9", "layer0.0"):
        refused(good | {f"{gap}.conv1.weight": np.ones(1)}, "the numbers of its blocks.*have gaps")
    refused(good | {f"layer1.{i}.x": np.ones(1) for i in range(501)}, "507 blocks are no Res")
    # no number of a file is believed to be small
    refused(good | {"layer1." + "9" * 5000 + ".x": np.ones(1)}, "1 unknown")
    wide = good | {"layer2.0.conv2.weight": np.ones((128, 64, 3, 3), np.float32)}
    refused(wide, r"layer2\.0\.conv2\.weight has shape \(128, 64, 3, 3\).*\(128, 128, 3, 3\)")


def test_variables_of_something_else_are_refused():
    variables = jax.tree.map(lambda x: np.zeros(x.shape, np.float32), abstract("resnet_small"))
    del variables["batch_stats"]["bn1"]["mean"]
    with pytest.raises(ValueError, match=r"1 missing.*bn1\.running_mean"):
        weights.to_torchvision(variables)
    with pytest.raises(ValueError, match="encoder/conv1/kernel is no leaf of a ResNet"):
        weights.to_torchvision({"encoder": {"conv1": {"kernel": np.ones((1, 1, 1, 1))}}})
    networks = {"encoder": variables["params"], "projector": {"layer_0": {"bias": np.ones(2)}}}
    whole = {"params": networks, "batch_stats": {"encoder": variables["batch_stats"]}}
    with pytest.raises(ValueError, match=r"they are a whole run's.*pass one network's.*\['encoder"):
        weights.to_torchvision(whole)
