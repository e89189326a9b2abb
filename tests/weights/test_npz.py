"""Numpy's own files, and headers that promise what the file has not."""

import io
import pickle
import struct
import zipfile

import numpy as np
import pytest

from jax_bt.errors import WeightsError
from jax_bt.weights import files


def read(content):
    return files.read_stream(io.BytesIO(content))


def npy(header, data=bytes(8), version=b"\x01\x00"):
    header = header.encode().ljust(117) + b"\n"
    return b"\x93NUMPY" + version + struct.pack("<H", len(header)) + header + data


def npz(content, name="x.npy"):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as file:
        file.writestr(name, content)
    return out.getvalue()


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_arrays_of_numbers_come_back(save):
    arrays = {
        "a/b.c": np.arange(6.0).reshape(2, 3).T,
        "scalar": np.float32(3),
        "big_endian": np.arange(4, dtype=">i4"),
        "empty": np.zeros((0, 3), np.float16),
        "half": np.array([True, False]),
    }
    save(out := io.BytesIO(), **arrays, note="text is left out")
    found = read(out.getvalue())
    assert list(found) == list(arrays)
    for key, array in found.items():
        assert array.shape == np.shape(arrays[key]) and array.dtype.isnative
        assert array.dtype == arrays[key].dtype.newbyteorder("=")
        np.testing.assert_array_equal(array, arrays[key])


@pytest.mark.parametrize(
    ("content", "match"),
    [
        (npy("{'descr': '<f4', 'fortran_order': False, 'shape': (1099511627776,)}"), "8 bytes do"),
        (npy("{'descr': '<f4', 'fortran_order': False, 'shape': (-1, -2)}"), "8 bytes do not"),
        (npy("{'descr': '<f4', 'fortran_order': False, 'shape': (3,)}"), "8 bytes do not fill"),
        (npy("{'descr': '<f4', 'fortran_order': False, 'shape': (1,)}"), "8 bytes do not fill"),
        (npy("{'descr': '|O', 'fortran_order': False, 'shape': (1,)}", pickle.dumps(1)), "object"),
        (npy("{'descr': '<V2', 'fortran_order': False, 'shape': (4,)}"), "no plain numbers"),
        (npy("{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (2,)}"), "no plain numb"),
        (npy("__import__('os').system('touch evil_was_here')"), "no .npy header"),
        (npy("(" * 90), "no .npy header"),
        (npy("-" * 5000 + "1"), "no .npy header"),
        (npy("{'descr': '<f4', 'fortran_order': False, 'shape': (2,)}", version=b"\x09\x00"), "no"),
        (b"", "no .npy header"),
    ],
)
def test_what_is_no_array_of_numbers(content, match, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(WeightsError, match=f"array 'x.npy'.*{match}") as caught:
        read(npz(content))
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.iterdir())


def test_other_archives():
    with pytest.raises(WeightsError, match="neither torch .* nor numpy"):
        read(npz(b"text", "word/document.xml"))


def test_damage_is_found_by_the_checksum():
    np.savez(out := io.BytesIO(), x=np.arange(1000.0))
    content = bytearray(out.getvalue())
    content[4000] ^= 1
    with pytest.raises(WeightsError, match="member 'x.npy' is damaged"):
        read(bytes(content))
