"""Names of data sets: answered before TensorFlow is imported."""

import os
import subprocess
import sys

import pytest

from jax_bt.data import names
from jax_bt.errors import DataError


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("cifar-10", "cifar10, "),
        ("CIFAR10", "cifar10, "),
        ("cifar01", "cifar10, "),
        ("imagenet", "imagenet2012, "),
        ("ImageNet-1k", "imagenet2012, "),
        ("stl-10", "stl10"),
        ("digit", "digits"),
    ],
)
def test_close_names(name, near, tmp_path):
    with pytest.raises(DataError, match=f"^no data set '{name}': .*; close names: {near}"):
        names.check(name, tmp_path)


def test_prepared_data_sets_are_names_too(tmp_path):
    (tmp_path / "my_photos" / "1.0.0").mkdir(parents=True)
    names.check("my_photos", tmp_path)
    with pytest.raises(DataError, match="close names: my_photos"):
        names.check("my_photo", tmp_path)


def test_arrays_may_lie_where_data_sets_do(tmp_path, monkeypatch):
    (tmp_path / "pairs.npz").touch()
    names.check("pairs.npz", tmp_path)
    assert names.found("pairs.npz", tmp_path) == str(tmp_path / "pairs.npz")
    with pytest.raises(DataError, match="^no file other.npz: check the path"):
        names.check("other.npz", tmp_path)
    monkeypatch.chdir(tmp_path)  # as it stands it comes first
    assert names.found("pairs.npz", "elsewhere") == "pairs.npz"


@pytest.mark.parametrize("name", ["photos/train", "my-photos", "photos 2024", "photos.zip"])
def test_what_is_no_name_at_all(name, tmp_path):
    with pytest.raises(DataError, match=f"^no data set '{name}': it is neither") as raised:
        names.check(name, tmp_path)
    assert "\n" not in str(raised.value)


def test_paths_that_are_wrong(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "x.png").touch()
    for name, message in (
        ("~/missing", f"no folder {tmp_path}/missing: check the path"),
        ("./missing", "no folder ./missing: check the path"),
        ("~/missing.NPZ", f"no file {tmp_path}/missing.NPZ: check the path"),
        ("~/x.png", f"{tmp_path}/x.png is not a data set: give a .npz file or a folder of images"),
        (" ", "no data set given: set data.name to a name, a folder or a .npz file"),
    ):
        with pytest.raises(DataError) as raised:
            names.check(name)
        assert str(raised.value) == message


@pytest.mark.parametrize("name", ["digits", names.SMOKE, "cifar10", "voc/2007", "gs://a/b", "~"])
def test_what_may_be_there_passes(name, tmp_path):
    names.check(name, tmp_path)


def test_tensorflow_is_not_imported():
    """It takes seconds."""
    code = (
        "import sys\n"
        "from jax_bt.data import names\n"
        "try: names.check('cifar-10')\n"
        "except names.DataError as error: print(error)\n"
        "print('tensorflow' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=os.environ, check=True
    )
    message, imported = done.stdout.splitlines()
    assert "close names: cifar10" in message
    assert imported == "False"
