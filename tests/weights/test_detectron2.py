"""Detectron2's names and pickles, against MoCo's converter."""

import io
import pickle
import pickletools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import golden

from jax_bt import models, weights
from jax_bt.errors import WeightsError
from jax_bt.weights import detectron2, files

from .conftest import FILES

KEYS = [line.split() for line in (FILES / "detectron2_keys.txt").read_text().splitlines()]


@pytest.fixture(scope="module")
def variables():
    module = models.make("resnet50", features=4)
    shapes = jax.eval_shape(module.init, jax.random.key(0), jnp.zeros((1, 32, 32, 3)))
    rng = np.random.default_rng(0)
    return jax.tree.map(lambda leaf: rng.random(leaf.shape, np.float32), shapes)


def test_names_are_those_of_the_converter_both_ways():
    assert len(KEYS) == 320
    for theirs, converted, _ in KEYS:
        assert detectron2.detectron2_name(theirs) == converted
        assert detectron2.torchvision_name(converted) == theirs


def test_a_resnet50_is_the_265_arrays_that_detectron2_wants(variables):
    wanted = {
        name for _, name, _ in KEYS if "num_batches_tracked" not in name and ".fc." not in name
    }
    file = pickle.loads(weights.to_detectron2(variables))
    assert set(file) == {"model", "__author__", "matching_heuristics"}
    assert file["matching_heuristics"] is True
    assert set(file["model"]) == wanted and len(wanted) == 265
    conv = variables["params"]["layer2_0"]["downsample_0"]["kernel"]
    found = file["model"]["res3.0.shortcut.weight"]
    assert found.dtype == np.float32 and found.flags.c_contiguous
    np.testing.assert_array_equal(found, conv.transpose(3, 2, 0, 1))
    mean = variables["batch_stats"]["layer4_2"]["bn3"]["mean"]
    np.testing.assert_array_equal(file["model"]["res5.2.conv3.norm.running_mean"], mean)


def test_what_is_written_is_read(variables, tmp_path):
    path = tmp_path / "detectron2.pkl"
    path.write_bytes(weights.to_detectron2(variables))
    back = weights.from_torchvision(weights.read(path))
    jax.tree.map(np.testing.assert_array_equal, back, variables)


def test_old_numpy_can_read_it(variables):
    """Numpy before 1.26 has no numpy._core."""
    named = {
        argument
        for opcode, argument, _ in pickletools.genops(weights.to_detectron2(variables))
        if opcode.name == "GLOBAL"
    }
    assert named == {"numpy.core.multiarray _reconstruct", "numpy ndarray", "numpy dtype"}


def test_a_moco_file_has_our_names_and_its_numbers(expected):
    arrays, _ = expected("detectron2")
    names = golden.arrays(FILES / "detectron2_expected.npz")["source_keys"]
    found = weights.read(FILES / "detectron2_tiny.pkl")
    assert list(found) == [str(name) for name in names]
    for array, reference in zip(found.values(), arrays.values(), strict=True):
        np.testing.assert_array_equal(array, reference)


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_every_protocol_of_pickle(protocol):
    tied = np.arange(3, dtype=np.int16)
    arrays = {
        "f": np.arange(6, dtype=">f4").reshape(2, 3).T,
        "c": np.arange(6.0).reshape(2, 3),
        "scalar": np.array(3),
        "empty": np.zeros((0, 3)),
        "flags": np.array([True, False]),
        "tied": tied,
        "tied too": tied,
    }
    found = files.read_stream(io.BytesIO(pickle.dumps({"model": arrays}, protocol=protocol)))
    assert list(found) == list(arrays)
    for key, array in found.items():
        reference = arrays[key].astype(arrays[key].dtype.newbyteorder("="))
        np.testing.assert_array_equal(array, reference, strict=True)
        assert array.flags.writeable


class Evil:
    def __reduce__(self):
        return (eval, ("open('evil_was_here', 'w')",))


@pytest.mark.parametrize(
    ("tree", "match"),
    [
        ({"model": {"x": np.array([None])}}, "dtype 'O8'"),
        ({"model": {"x": np.array(["text"])}}, "dtype 'U4'"),
        ({"model": {"x": np.zeros(2, "f4,f4")}}, "dtype 'V8'"),
        ({"model": {"x": np.array(["2020"], "M8[D]")}}, "dtype 'M8'"),
        ({"model": {"x": np.ma.zeros(2)}}, "names numpy.ma"),
        ({"x": Evil()}, "names builtins.eval"),
        ([np.zeros(2)], "a Python list"),
    ],
)
def test_pickles_of_something_else(tree, match, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(WeightsError, match=match):
        files.read_stream(io.BytesIO(pickle.dumps(tree)))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("old", "new", "match"),
    [
        (b"K\x02K\x03\x86", b"K\x02K\x04\x86", "24 bytes do not fill its shape"),
        (b"K\x02K\x03\x86", b"K\x02J\xfd\xff\xff\xff\x86", "not of whole numbers"),
        (b"K\x02K\x03\x86", b"K\x02N\x86", "not of whole numbers"),
        (b"\x8c\x02f4", b"\x8c\x02f3", "damaged"),
        (b"\x8c\x01<", b"\x8c\x01!", "gives a state to something that is no array"),
    ],
)
def test_arrays_that_do_not_add_up(old, new, match):
    content = pickle.dumps({"x": np.zeros((2, 3), np.float32)}, protocol=4)
    assert old in content
    # without its frame, whose length would no longer be right
    content = (content[:2] + content[11:]).replace(old, new)
    with pytest.raises(WeightsError, match=match):
        files.read_stream(io.BytesIO(content))


def test_an_array_without_content():
    content = b"\x80\x02}X\x01\x00\x00\x00xcnumpy.core.multiarray\n_reconstruct\n)Rs."
    with pytest.raises(WeightsError, match="tensor 'x': has no content"):
        files.read_stream(io.BytesIO(content))
