"""Safetensors both ways, against the package's own reader."""

import io
import json
import struct

import jax.numpy as jnp
import numpy as np
import pytest
import safetensors.numpy

from jax_bt import weights
from jax_bt.errors import WeightsError
from jax_bt.weights import files


def file(header, data):
    header = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(header)) + header + data


def test_what_is_written_is_read_by_us_and_by_the_package(tmp_path):
    arrays = {
        "transposed": np.arange(6, dtype=np.float32).reshape(2, 3).T,
        "strided": np.arange(10)[::3],
        "scalar": np.zeros((), np.int64),
        "empty": np.zeros((0, 2), np.float16),
        "bfloat16": jnp.asarray([1.5, -2], jnp.bfloat16),
        "flags": np.array([True, False]),
    }
    path = tmp_path / "encoder.safetensors"
    weights.write_safetensors(path, arrays, {"method": "barlow_twins", "step": "100"})
    theirs = safetensors.numpy.load_file(path)
    ours = weights.read(path)
    assert list(ours) == sorted(arrays) and set(theirs) == set(arrays)
    for key, array in arrays.items():
        for found in (ours[key], theirs[key]):
            assert found.shape == array.shape and found.dtype == array.dtype, key
            np.testing.assert_array_equal(found, array)
    assert weights.metadata(path) == {"method": "barlow_twins", "step": "100"}
    weights.write_safetensors(path, {"x": np.zeros(1)}, {})
    assert list(weights.read(path)) == ["x"] and weights.metadata(path) == {}
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


def test_places_that_take_or_have_no_file(tmp_path):
    with pytest.raises(WeightsError, match="absent/x.safetensors: cannot be written .No such file"):
        weights.write_safetensors(tmp_path / "absent" / "x.safetensors", {"x": np.zeros(1)})
    with pytest.raises(WeightsError, match="x.safetensors: no safetensors file"):
        weights.metadata(tmp_path / "x.safetensors")
    (tmp_path / "text").write_text("text")
    with pytest.raises(WeightsError, match="text: no safetensors file"):
        weights.metadata(tmp_path / "text")


def entry(dtype, shape, *offsets):
    return {"x": {"dtype": dtype, "shape": shape, "data_offsets": offsets}}


@pytest.mark.parametrize(
    ("content", "match"),
    [
        (file(entry("F4", [2], 0, 1), b"1"), "'x' has dtype F4"),
        (file(entry("F32", [2], 0, 4), bytes(4)), "no whole safetensors file"),
        (file(entry("F32", [1], 0, 4), bytes(8)), "no whole safetensors file"),
        (file(entry("F32", [2**62, 4], 0, 4), bytes(4)), "overflow"),
        (file(b'{"x":' * 5000, b""), "recursion limit"),
        (file(b'{"x": 1}', b""), "no whole safetensors file"),
        (file(b"{}", b""), "holds no tensors"),
    ],
)
def test_files_that_are_not_sound(content, match):
    with pytest.raises(WeightsError, match=match) as caught:
        files.read_stream(io.BytesIO(content))
    assert "\n" not in str(caught.value)
