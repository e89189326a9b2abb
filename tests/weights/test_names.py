"""Encoders found in the checkpoints of other projects, laid out as theirs are."""

import io

import numpy as np
import pytest

from jax_bt.errors import WeightsError
from jax_bt.weights import files, names

from .torch_files import number, text, write_legacy, write_zip

STEM = {"conv1.weight": np.arange(1.0), "bn1.weight": np.arange(2.0)}
RESNET = STEM | {"layer1.0.conv1.weight": np.arange(3.0), "fc.bias": np.arange(4.0)}


def under(prefix, tree):
    return {prefix + name: value for name, value in tree.items()}


OTHER = {name: value + 100 for name, value in RESNET.items()}
HEAD = np.zeros(5)
CHECKPOINTS = {
    "Barlow Twins": {
        "epoch": 3,
        "model": under("module.backbone.", RESNET)
        | {"module.projector.0.weight": HEAD, "module.bn.running_mean": HEAD},
        "optimizer": {"state": {"mu": HEAD}},
    },
    "SwAV": under("module.", RESNET)
    | {"module.projection_head.0.weight": HEAD, "module.prototypes.weight": HEAD},
    "MoCo": {
        "arch": 50,
        "state_dict": under("module.encoder_q.", RESNET)
        | under("module.encoder_k.", OTHER)
        | {"module.queue": HEAD},
    },
    "MoCo v3": {
        "state_dict": under("module.momentum_encoder.", OTHER)
        | under("module.base_encoder.", RESNET)
        | {"module.predictor.0.weight": HEAD}
    },
    "SimSiam": {"state_dict": under("module.encoder.", RESNET)},
    "solo-learn": {
        "state_dict": under("momentum_backbone.", OTHER)
        | under("backbone.", RESNET)
        | {"classifier.weight": HEAD, "projector.0.weight": HEAD},
        "hyper_parameters": {"backbone": {"depth": 18}},
    },
    "solo-learn, old": {"state_dict": under("encoder.", RESNET)},
    "flat": RESNET | {"projector.0.weight": HEAD},
    "dicts by part": {"backbone": RESNET, "projector": {"0.weight": HEAD}},
    "a wrapper beside a config of the model": {"model": {"depth": 50}, "state_dict": RESNET},
    "wrappers in wrappers": {"state_dict": {"model": {"encoder": RESNET}}},
    "an unknown prefix": {"net": under("trunk._feature_blocks.", RESNET), "optim": {"mu": HEAD}},
}


@pytest.mark.parametrize("write", [write_zip, write_legacy])
@pytest.mark.parametrize("name", CHECKPOINTS)
def test_the_encoder_is_found(name, write):
    found = files.read_stream(io.BytesIO(write(CHECKPOINTS[name])))
    assert list(found) == list(RESNET)
    for key, array in found.items():
        np.testing.assert_array_equal(array, RESNET[key])


def test_other_networks_keep_their_names_but_for_the_prefix():
    vit = {"cls_token": HEAD, "patch_embed.proj.weight": HEAD, "head.weight": HEAD}
    convnext = {"downsample_layers.0.0.weight": HEAD, "stages.0.0.dwconv.weight": HEAD}
    for tree in (vit, convnext):
        file = write_zip({"model": under("module.backbone.", tree)})
        assert list(files.read_stream(io.BytesIO(file))) == list(tree)
    unknown = {"model": {"a": HEAD, "b.c": HEAD}, "optimizer": {"state": HEAD}}
    assert list(files.read_stream(io.BytesIO(write_zip(unknown)))) == ["a", "b.c"]


def test_networks_that_nothing_tells_apart_are_left_as_they_are():
    tree = under("left.", RESNET) | under("right.", OTHER)
    assert list(files.read_stream(io.BytesIO(write_zip(tree)))) == list(tree)


def test_all_arrays_of_the_model_on_request():
    tree = CHECKPOINTS["Barlow Twins"]
    found = files.read_stream(io.BytesIO(write_zip(tree)), strip=False)
    assert list(found) == list(tree["model"])


@pytest.mark.parametrize(
    ("tree", "match"),
    [
        ({"epoch": 3, "best": {"top1": 70}}, "holds no tensors; its entries are 'epoch', 'best'"),
        ({}, "its entries are none"),
        (b"]", "no tensors by name but a Python list"),
        (number(3), "no tensors by name but a Python int"),
        ({"a.b": HEAD, "a": {"b": HEAD}}, "two tensors 'a.b'"),
        ({"x" * 501: HEAD}, "one of too long a name"),
        ({"a\nb": b"cos\nsystem\n"}, r"os\.system"),
    ],
)
def test_what_holds_no_state_dict(tree, match):
    with pytest.raises(WeightsError, match=match):
        files.read_stream(io.BytesIO(write_zip(tree)))


def test_a_name_cannot_break_the_line():
    file = write_zip({"one\ntwo\x1b[31m": b"}" + text("x") + number(1) + b"s"})
    with pytest.raises(WeightsError) as caught:
        files.read_stream(io.BytesIO(file))
    assert r"'one\ntwo\x1b[31m'" in str(caught.value) and "\n" not in str(caught.value)


def test_prefixes_are_those_of_whole_networks():
    assert names.prefixes(RESNET) == [""]
    keys = [*under("b.", RESNET), *under("a-b.", RESNET), *under("a.", RESNET), "xconv1.weight"]
    assert names.prefixes(keys) == ["a-b.", "a.", "b."]
    assert names.prefixes(["fc.weight"]) == []
