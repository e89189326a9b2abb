"""Folders of images."""

import os
import shutil
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from jax_bt import data
from jax_bt.data import folder as folders
from jax_bt.errors import DataError

from .conftest import picture


def names(source, split="train"):
    records = source.records(split)
    return [os.path.basename(records.describe(i)) for i in range(records.size)]


def test_classes_nested_sizes_and_formats(image_folder):
    source = data.load(str(image_folder))
    assert source.splits == ("train",)
    assert source.size("train") == 16
    assert source.class_names == ("cats", "dogs")
    assert source.num_classes == 2
    assert source.image_shape is None
    assert names(source)[:2] == ["01.jpg", "03.png"]  # cats come first, hidden files not at all
    np.testing.assert_array_equal(source.labels("train"), [0] * 8 + [1] * 8)
    found = {}
    for batch in data.examples(source, "train", size=16, batch=5):
        for image, label, index in zip(batch["image"], batch["label"], batch["index"], strict=True):
            assert image.shape == (16, 16, 3)
            found[int(index)] = int(label)
    assert found == dict(enumerate([0] * 8 + [1] * 8))


def save(path, seed=0):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(picture(seed)).save(path)


def test_unlabelled(tmp_path):
    for i in range(3):
        save(tmp_path / f"{i}.png", i)
    save(tmp_path / "more" / "deep" / "4.png", 4)
    source = data.load(str(tmp_path))
    assert names(source) == ["0.png", "1.png", "2.png", "4.png"]
    assert source.num_classes is None
    assert source.labels("train") is None
    assert "label" not in next(data.examples(source, "train", size=8))


def test_splits(tmp_path):
    for split in ("train", "val"):
        for number, name in enumerate(("a", "b")):
            save(tmp_path / split / name / "x.png", number)
    save(tmp_path / "unlabelled" / "y.png")
    source = data.load(str(tmp_path))
    assert source.splits == ("train", "unlabelled", "val")
    np.testing.assert_array_equal(source.labels("val"), [0, 1])
    assert source.labels("unlabelled") is None
    np.testing.assert_array_equal(source.labels("train+val[1:]"), [0, 1, 1])


def test_links_are_followed_once(tmp_path):
    save(tmp_path / "a" / "x.png")
    os.symlink(tmp_path / "a", tmp_path / "a" / "round")
    os.symlink(tmp_path, tmp_path / "a" / "up")
    assert names(data.load(str(tmp_path))) == ["x.png"]


def test_damaged_files_are_named_and_left_out(image_folder, tmp_path, caplog):
    root = shutil.copytree(image_folder, tmp_path / "copy")
    (root / "dogs" / "empty.jpg").touch()
    (root / "dogs" / "text.png").write_text("text")
    whole = (root / "dogs" / "00.jpg").read_bytes()
    (root / "dogs" / "cut.jpg").write_bytes(whole[: len(whole) // 2])
    source = data.load(str(root))
    assert source.size("train") == 16
    assert len(source.labels("train")) == 16
    messages = [r.getMessage() for r in caplog.records]
    for name in ("empty.jpg", "text.png", "cut.jpg"):
        assert sum(name in m and "cannot be decoded" in m for m in messages) == 1


def test_large_folders_are_not_read_twice(image_folder, monkeypatch, tmp_path):
    root = shutil.copytree(image_folder, tmp_path / "copy")
    (root / "dogs" / "text.png").write_text("text")
    monkeypatch.setattr(folders, "CHECKED_FILES", 16)
    assert data.load(str(root)).size("train") == 17


def test_errors(tmp_path):
    with pytest.raises(DataError, match="no images in .* expected files ending in .bmp, .gif"):
        data.load(str(tmp_path))
    prepared = tmp_path / "tfds" / "flowers" / "1.0.0"
    prepared.mkdir(parents=True)
    for name in ("dataset_info.json", "features.json"):
        (prepared / name).write_text("{}")
    for folder in (prepared.parent, prepared.parent.parent):
        with pytest.raises(DataError, match="prepared by TFDS; give the folder of one, as .*1.0.0"):
            data.load(str(folder))
    (tmp_path / "x.png").write_text("text")
    with pytest.raises(DataError, match="none of the 1 images in .* can be decoded"):
        data.load(str(tmp_path))
    with pytest.raises(DataError, match="no folder .*: check the path"):
        data.load(str(tmp_path / "missing"))
    with pytest.raises(DataError, match="is not a data set: give a .npz file or a folder"):
        data.load(str(tmp_path / "x.png"))
    with pytest.raises(DataError, match="no data set given: set data.name"):
        data.load("")


def test_a_folder_that_may_not_be_read(tmp_path, monkeypatch):
    def refuse(path):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(DataError, match="folder .* cannot be read: .* Permission denied"):
        data.load(str(tmp_path))


def test_tensorflow_adds_nothing_to_a_damaged_file(tmp_path):
    """Its own warning would come on top of ours; JAX, imported first, sets its log level."""
    save(tmp_path / "a.png")
    (tmp_path / "b.png").write_text("text")
    code = f"import jax; from jax_bt import data; data.load({str(tmp_path)!r})"
    environment = {k: v for k, v in os.environ.items() if k != "TF_CPP_MIN_LOG_LEVEL"}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment
    )
    assert done.returncode == 0
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"skipped {tmp_path}/b.png: it cannot be decoded")
