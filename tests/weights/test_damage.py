"""Damaged files end in arrays or in one line, never in a crash, a hang or another exception."""

import io
import random
import zipfile

import pytest

from jax_bt.errors import WeightsError
from jax_bt.weights import files

from .conftest import FILES

SAMPLES = [
    "layout_zip.pth", "layout_legacy.pth", "dtypes_legacy.pth", "nested_zip.pth",
    "dtypes.safetensors", "layout_expected.npz", "detectron2_tiny.pkl", "malicious_legacy.pth",
]  # fmt: skip
TIMES = 100


def flip(content, random, within=None):
    content = bytearray(content)
    for _ in range(random.choice((1, 1, 2, 8))):
        content[random.randrange(min(within or len(content), len(content)))] = random.randrange(256)
    return bytes(content)


def cut(content, random):
    return content[: random.randrange(len(content))]


def flip_start(content, random):
    return flip(content, random, within=600)


def flip_end(content, random):
    return flip(content[::-1], random, within=600)[::-1]


def flip_member(content, random):
    """Damage under a checksum that fits: what a malicious hand would do."""
    with zipfile.ZipFile(io.BytesIO(content)) as file:
        members = {name: file.read(name) for name in file.namelist()}
    name = random.choice([n for n in members if n.endswith(("data.pkl", ".npy"))])
    members[name] = flip(members[name], random, within=None if name.endswith("pkl") else 128)
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as file:
        for name, member in members.items():
            file.writestr(name, member)
    return out.getvalue()


DAMAGES = [cut, flip, flip_start, flip_end, flip_member]
CASES = [
    (name, damage)
    for name in SAMPLES
    for damage in DAMAGES
    if damage is not flip_member or name.endswith(("_zip.pth", ".npz"))
]


@pytest.mark.parametrize(("name", "damage"), CASES)
def test_damage_ends_in_arrays_or_one_line(name, damage, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    content, rng = (FILES / name).read_bytes(), random.Random(f"{name} {damage.__name__}")
    refused = 0
    for _ in range(TIMES):
        try:
            arrays = files.read_stream(io.BytesIO(damage(content, rng)))
        except WeightsError as error:
            refused += 1
            assert "\n" not in str(error) and len(str(error)) < 400
        else:
            assert sum(array.nbytes for array in arrays.values()) <= 16 * len(content) + 2**26
    assert refused == TIMES if damage is cut else refused or name.endswith("safetensors")
    assert not list(tmp_path.iterdir())  # such as evil_was_here
