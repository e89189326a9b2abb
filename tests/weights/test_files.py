"""Files of every format against what torch, safetensors and numpy read from them."""

import json
import os
import shutil

import numpy as np
import pytest

from jax_bt import weights
from jax_bt.errors import Expected, WeightsError

from .conftest import FILES

GOOD = {
    "tiny_zip.pth": "tiny",
    "tiny_legacy.pth": "tiny",
    "tiny.safetensors": "tiny",
    "nested_zip.pth": "nested",
    "nested_legacy.pth": "nested",
    "solo_ckpt.ckpt": "solo",
    "dtypes_zip.pth": "dtypes",
    "dtypes_legacy.pth": "dtypes",
    "dtypes.safetensors": "dtypes",
    "layout_zip.pth": "layout",
    "layout_legacy.pth": "layout",
    "detectron2_tiny.pkl": "detectron2",
}
BAD = {
    "malicious_zip.pth": r"names posix\.system",
    "malicious_legacy.pth": r"names posix\.system",
    "malicious_plain.pkl": r"names posix\.system",
    "malicious_eval_zip.pth": r"names __builtin__\.eval",
    "namespace_zip.pth": r"names argparse\.Namespace",
    "whole_module_zip.pth": r"names torch\.nn\.modules\.container\.Sequential",
    "truncated_zip.pth": "zip archive: it is cut short",
    "truncated_legacy.pth": r"storage '\d+' is cut short",
    "truncated.safetensors": "no whole safetensors file.*incomplete",
    "short_storage_zip.pth": "tensor 'conv1.weight': storage '0' has 2352 bytes; 4704 were saved",
    "header_too_long.safetensors": "no whole safetensors file.*header too large",
    "bad_offsets.safetensors": "no whole safetensors file.*offset",
    "tar_old.pth": "is a tar archive",
    "torchscript.pt": "is a TorchScript archive",
    "not_a_checkpoint.pth": "begins with b'this is text'",
    "empty.pth": "is empty",
}


def test_every_golden_file_is_tried():
    verdicts = json.loads((FILES / "verdicts.json").read_text())["files"]
    del verdicts["flat_zip.pth"]  # larger, and nothing in it that others have not
    assert {name for name, verdict in verdicts.items() if verdict == "loads"} == set(GOOD) - {
        "detectron2_tiny.pkl"
    }
    assert {name for name, verdict in verdicts.items() if verdict != "loads"} == set(BAD)


@pytest.mark.parametrize("name", GOOD)
def test_arrays_are_those_of_the_reference(expected, name):
    arrays, dtypes = expected(GOOD[name])
    found = weights.read(FILES / name, strip=False)
    # safetensors keep no order
    assert list(found) == sorted(arrays) if name.endswith("safetensors") else list(arrays)
    for key, array in found.items():
        assert array.dtype == dtypes[key], key
        assert array.shape == arrays[key].shape, key
        np.testing.assert_array_equal(array.astype(arrays[key].dtype), arrays[key], err_msg=key)


@pytest.mark.parametrize("name", BAD)
def test_what_is_no_plain_weights_is_refused_in_one_line_and_not_run(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(WeightsError, match=BAD[name]) as caught:
        weights.read(FILES / name)
    message = str(caught.value)
    assert message.startswith(f"{FILES / name}: ") and "\n" not in message
    assert len(message) < len(str(FILES / name)) + 300
    assert isinstance(caught.value, Expected) and caught.value.exit_code == 2
    assert not list(tmp_path.iterdir())  # such as evil_was_here


@pytest.mark.parametrize("name", ["nested_zip.pth", "nested_legacy.pth", "solo_ckpt.ckpt"])
def test_the_encoder_alone_by_torchvisions_names(expected, name):
    wrapped, _ = expected(GOOD[name])
    tiny, _ = expected("tiny")
    found = weights.read(FILES / name)
    assert list(found) == list(tiny)
    prefix = "module.backbone." if "nested" in name else "backbone."
    for key, array in found.items():
        np.testing.assert_array_equal(array, wrapped[prefix + key], err_msg=key)


@pytest.mark.parametrize(
    "name", [name for name, content in GOOD.items() if content not in ("dtypes", "layout")]
)
def test_what_is_read_makes_an_encoder(expected, name):
    variables = weights.from_torchvision(weights.read(FILES / name))
    kernel = weights.read(FILES / name)["layer1.1.conv2.weight"]
    np.testing.assert_array_equal(
        variables["params"]["layer1_1"]["conv2"]["kernel"], kernel.transpose(2, 3, 1, 0)
    )


def test_arrays_can_be_written_to():
    for name in GOOD:
        array = next(a for a in weights.read(FILES / name).values() if a.ndim)
        array[...] = 0


@pytest.mark.parametrize("name", ["tiny_zip.pth", "tiny_legacy.pth", "tiny.safetensors"])
def test_the_content_says_the_format(expected, name, tmp_path):
    for suffix in (".npz", ".safetensors", ".pth.tar", ""):
        shutil.copy(FILES / name, path := tmp_path / f"weights{suffix}")
        assert set(weights.read(path)) == set(expected("tiny")[0])


@pytest.mark.parametrize(
    ("content", "match"),
    [
        (b"\x1f\x8b\x08\x00", "compressed by gzip"),
        (b"\x89HDF\r\n\x1a\n", "HDF5"),
        (b"version https://git-lfs.github.com/spec/v1\noid", "git lfs pull"),
        (b"<!DOCTYPE html>", "web page"),
        (b"PK\x05\x06" + bytes(18), "holds no tensors"),
        (b"cos\nsystem\n(S'touch evil_was_here'\ntR.", "begins with b'cos.nsystem"),
        (b"\x80", "its pickle is damaged"),
    ],
)
def test_other_things_are_named(tmp_path, content, match):
    path = tmp_path / "weights.pth"
    path.write_bytes(content)
    with pytest.raises(WeightsError, match=match):
        weights.read(path)


def test_places_without_a_file(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for path, match in (
        (tmp_path / "absent.pth", "does not exist"),
        (tmp_path, "is no file"),
        (tmp_path / "pipe", "is no file"),
    ):
        with pytest.raises(WeightsError, match=f"^{path}: {match}"):
            weights.read(path)
