"""Folders of images."""

import os
import shutil

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from jax_bt import augment, data
from jax_bt.data.sources import folder
from jax_bt.errors import DataError

from ..conftest import picture

RECIPE = augment.recipes("none", size=16)[0]


def names(source, split="train"):
    records = source.records(split)
    return [os.path.basename(records.describe(i)) for i in range(records.size)]


def test_classes_nested_sizes_and_formats(image_folder):
    source = data.load(str(image_folder))
    assert source.splits == ("train",)
    assert source.size("train") == 16
    assert source.class_names == ("cats", "dogs")
    assert source.num_classes == 2
    assert source.channels == 3
    assert source.describe().splitlines() == [
        f"{image_folder}: train 16 images, 2 classes (cats, dogs)",
        "1 file passed over: 1 .txt",
    ]
    assert names(source)[:2] == ["01.jpg", "03.png"]  # cats come first, hidden files not at all
    np.testing.assert_array_equal(source.labels("train"), [0] * 8 + [1] * 8)
    found = {}
    for batch in data.examples(source, "train", recipe=RECIPE, batch=5):
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
    assert "label" not in next(data.examples(source, "train", recipe=RECIPE))


def test_splits(tmp_path):
    for split in ("train", "val"):
        for number, name in enumerate(("a", "b")):
            save(tmp_path / split / name / "x.png", number)
    save(tmp_path / "unlabelled" / "y.png")
    source = data.load(str(tmp_path))
    assert source.splits == ("train", "unlabelled", "val")
    np.testing.assert_array_equal(source.labels("val"), [0, 1])
    assert source.labels("unlabelled") is None
    np.testing.assert_array_equal(source.labels("train+val"), [0, 1, 0, 1])
    assert source.has_labels("val") and not source.has_labels("unlabelled")
    assert "unlabelled 1 image without labels" in source.describe()


def test_splits_in_capitals_beside_other_folders(tmp_path):
    for name in ("Train/a/x", "Train/b/y", "VAL/a/x", "masks/x", "masks/deep/y"):
        save(tmp_path / f"{name}.png")
    save(tmp_path / "cover.png")
    (tmp_path / "annotations").mkdir()
    (tmp_path / "annotations" / "a.xml").touch()
    (tmp_path / "logs").mkdir()
    source = data.load(str(tmp_path))
    assert source.splits == ("train", "val")
    np.testing.assert_array_equal(source.labels("train"), [0, 1])
    np.testing.assert_array_equal(source.labels("val"), [0])
    assert source.describe().splitlines()[1:] == [
        "1 file passed over: 1 .xml",
        "3 images beside the splits passed over, in: no folder, masks",
    ]
    save(tmp_path / "train" / "x.png")
    with pytest.raises(DataError, match="two folders for the split train, which differ in case"):
        data.load(str(tmp_path))


def test_classes_that_are_called_like_splits(tmp_path):
    """Without a train folder, not all of them are splits."""
    for name in ("test", "extra", "cat"):
        save(tmp_path / name / "x.png")
    source = data.load(str(tmp_path))
    assert source.splits == ("train",)
    assert source.class_names == ("cat", "extra", "test")


def test_a_wrapping_folder_is_entered(tmp_path):
    """As archives unpack, with what another system left behind."""
    for name in ("set/images/train/a/x", "set/images/train/b/y", "set/images/val/a/z"):
        save(tmp_path / f"{name}.png")
    (tmp_path / "__MACOSX" / "set").mkdir(parents=True)
    (tmp_path / "__MACOSX" / "set" / "x.png").write_text("text")
    source = data.load(str(tmp_path))
    assert source.splits == ("train", "val")
    assert source.class_names == ("a", "b")
    assert source.describe().count("\n") == 0


def test_suffixes(tmp_path):
    """Taken by name, by their beginning where they have none, or passed over in one line."""
    save(tmp_path / "a.jpg")
    content = (tmp_path / "a.jpg").read_bytes()
    for name in ("b.jfif", "c.JPE", "d"):
        (tmp_path / name).write_bytes(content)
    Image.fromarray(picture(1)).save(tmp_path / "e.tif")
    for name in ("f.heic", "g.heic", "h.csv", "README", "Thumbs.db"):
        (tmp_path / name).write_text("text")
    source = data.load(str(tmp_path))
    assert names(source) == ["a.jpg", "b.jfif", "c.JPE", "d", "e.tif"]
    passed = "4 files passed over: 2 .heic, 1 without suffix, 1 .csv"
    assert source.describe().splitlines()[1] == passed
    for name in ("a.jpg", "b.jfif", "c.JPE", "d", "e.tif"):
        (tmp_path / name).unlink()
    with pytest.raises(DataError, match="no images in .*4 files passed over: 2 .heic.*convert"):
        data.load(str(tmp_path))


def test_slices_of_a_folder_hold_all_classes(tmp_path, monkeypatch):
    monkeypatch.setattr(folder, "CHECKED_FILES", 0)
    for i in range(80):
        path = tmp_path / "ab"[i // 40] / f"{i:03d}.png"
        path.parent.mkdir(exist_ok=True)
        path.touch()
    source = data.load(str(tmp_path))
    counts = np.bincount(source.labels("train[:50%]"))
    assert (counts >= 10).all()  # 20 of each, 3 standard deviations are 9.5
    both = source.records("train[:50%]+train[50%:]")
    assert sorted(map(both.describe, range(80))) == sorted(
        map(source.records("train").describe, range(80))
    )
    first = set(map(source.records("train[:20]").describe, range(20)))
    (tmp_path / "a" / "added.png").touch()
    later = data.load(str(tmp_path)).records("train[:21]")
    assert first <= set(map(later.describe, range(21)))  # one more leaves the others in place


def test_names_in_other_scripts(tmp_path):
    for name in (os.fsdecode("éa".encode("latin-1")), "狗", "ёж"):
        save(tmp_path / name / "x.png")
    source = data.load(str(tmp_path))
    assert sorted(source.class_names) == ["éa", "ёж", "狗"]
    source.describe().encode()
    assert all(source.records("train").describe(i).encode() for i in range(3))


def test_a_fingerprint_tells_that_files_have_changed(tmp_path):
    for i in range(3):
        save(tmp_path / "here" / f"{i}.png", i)
    first = data.load(str(tmp_path / "here")).fingerprint("train")
    assert first["size"] == 3
    moved = shutil.copytree(tmp_path / "here", tmp_path / "there")
    assert data.load(str(moved)).fingerprint("train") == first
    (moved / "2.png").rename(moved / "3.png")
    assert data.load(str(moved)).fingerprint("train")["names"] != first["names"]


def test_remote_folders(tmp_path):
    """TensorFlow's file system in memory stands for gs:// and s3://."""
    root = "ram://bucket_of_images/set"
    for i, name in enumerate(("train/a/x", "train/b/y", "val/a/z")):
        save(tmp_path / "x.png", i)
        tf.io.gfile.makedirs(f"{root}/{name.rpartition('/')[0]}")
        tf.io.gfile.copy(str(tmp_path / "x.png"), f"{root}/{name}.png", overwrite=True)
    source = data.load(root)
    assert source.splits == ("train", "val")
    assert source.class_names == ("a", "b")
    (batch,) = data.examples(source, "train", recipe=augment.recipes("none", size=24)[0])
    unit = batch["image"] * np.array(RECIPE.std) + np.array(RECIPE.mean)
    np.testing.assert_allclose(unit[1], picture(1) / 255, atol=1e-5)
    with pytest.raises(DataError, match="^no folder ram://bucket_of_images/other: check the path"):
        data.load("ram://bucket_of_images/other/")


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
    monkeypatch.setattr(folder, "CHECKED_FILES", 16)
    assert data.load(str(root)).size("train") == 17


def test_errors(tmp_path):
    with pytest.raises(DataError, match="no images in .* expected files ending in .avif, .bmp"):
        data.load(str(tmp_path))
    prepared = tmp_path / "tfds" / "flowers" / "1.0.0"
    prepared.mkdir(parents=True)
    for name in ("dataset_info.json", "features.json"):
        (prepared / name).write_text("{}")
    for outer in (prepared.parent, prepared.parent.parent):
        with pytest.raises(DataError, match="prepared by TFDS; give the folder of one, as .*1.0.0"):
            data.load(str(outer))
        with pytest.raises(DataError, match="data.name=flowers --config.data.data_dir=.*/tfds$"):
            data.load(str(outer))
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
    with pytest.raises(DataError, match="cannot be read: Permission denied: .*"):
        data.load(str(tmp_path))
