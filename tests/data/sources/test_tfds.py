"""Data sets prepared by TFDS, with and without random access."""

import itertools
import shutil

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_datasets as tfds

from jax_bt import augment, data
from jax_bt.data import prepare
from jax_bt.data.decode import decode
from jax_bt.data.sources.tfrecord import StreamRecords
from jax_bt.errors import DataError

from ..conftest import picture

LIMIT = "jax_bt.data.sources.tfds.MEMORY_LIMIT"
KINDS = {"fixed": "image", "varied": "bytes", "indexed": "bytes", "indexed_fixed": "image"}


@pytest.mark.parametrize("name", KINDS)
def test_what_was_stored_comes_back(name, tfds_dir):
    source = data.load(name, tfds_dir)
    assert source.splits == ("train", "test")
    assert source.class_names == ("cat", "dog", "eel")
    assert source.channels == 3
    for split, first, count in (("train", 0, 30), ("test", 30, 12), ("train[80%:]", 24, 6)):
        assert source.size(split) == count
        records = source.records(split)
        assert records.payload == KINDS[name]
        payload, labels = records.fetch(np.arange(count))
        np.testing.assert_array_equal(labels, np.arange(first, first + count) % 3)
        np.testing.assert_array_equal(source.labels(split), labels)
        image = payload[3] if "fixed" in name else decode(tf.constant(payload[3])).numpy()
        np.testing.assert_array_equal(image, picture(first + 3, *image.shape[:2]))


def test_a_large_set_is_streamed(tfds_dir, monkeypatch):
    monkeypatch.setattr(LIMIT, 0)
    source = data.load("varied", tfds_dir)
    records = source.records("train[10:20]+test[5:]")
    assert isinstance(records, StreamRecords)
    assert source.size("train[10:20]+test[5:]") == records.size == 17
    expected = [*range(10, 20), *range(35, 42)]
    np.testing.assert_array_equal(records.labels(), np.array(expected) % 3)
    for index, image, label in records.in_order().as_numpy_iterator():
        pixels = decode(tf.constant(image)).numpy()
        np.testing.assert_array_equal(pixels, picture(expected[index], *pixels.shape[:2]))
        assert label == expected[index] % 3
    assert "record 9 of" in records.describe(14)
    assert "test" in records.describe(14)


def test_a_folder_of_a_prepared_set(tfds_dir):
    assert data.load(str(tfds_dir / "fixed" / "1.0.0")).size("train") == 30


@pytest.mark.parametrize("name", ["fixed", "varied", "indexed", "indexed_fixed"])
def test_the_largest_split_decides_for_all(name, tfds_dir, monkeypatch):
    """Else a large unlabelled split could not be joined with a small labelled one."""
    info = tfds.builder_from_directory(tfds_dir / name / "1.0.0").info
    monkeypatch.setattr(LIMIT, info.splits["test"].num_bytes)
    assert info.splits["train"].num_bytes > info.splits["test"].num_bytes
    source = data.load(name, tfds_dir)
    np.testing.assert_array_equal(
        source.labels("test+train[:4]"), [*np.arange(30, 42) % 3, 0, 1, 2, 0]
    )
    assert isinstance(source.records("test"), StreamRecords) == ("indexed" not in name)
    assert source.records("test").payload == "bytes"


def test_a_missing_split_lists_the_valid_ones(tfds_dir):
    with pytest.raises(DataError, match="fixed has no split 'validation': it has train, test"):
        data.load("fixed", tfds_dir).size("validation")


def test_without_an_image_feature(tmp_path):
    tfds.dataset_builders.store_as_tfds_dataset(
        name="numbers",
        version="1.0.0",
        data_dir=tmp_path,
        split_datasets={"train": tf.data.Dataset.from_tensor_slices({"x": np.arange(4)})},
        features=tfds.features.FeaturesDict({"x": tfds.features.Scalar(np.int64)}),
    )
    with pytest.raises(DataError, match="'numbers' has no image feature .* are x .Scalar.$"):
        data.load("numbers", tmp_path)


def test_not_prepared(tmp_path):
    with pytest.raises(DataError) as raised:
        data.load("imagenet2012", tmp_path)
    message = str(raised.value)
    assert "\n" not in message
    assert f"'imagenet2012' is not prepared in {tmp_path}" in message
    assert "ILSVRC2012_img_train.tar" in message
    assert f"python -m jax_bt.data.prepare imagenet2012 --data_dir={tmp_path}" in message
    assert "--config=configs/barlow_digits.py" in message


def test_a_place_without_a_driver():
    with pytest.raises(DataError, match="^s9://bucket/tfds cannot be read: TensorFlow has no driv"):
        data.load("cifar10", "s9://bucket/tfds/")


def test_an_unknown_name_gets_close_ones(tfds_dir):
    with pytest.raises(DataError, match="no data set 'cifar01': .*; close names: cifar10"):
        data.load("cifar01", tfds_dir)
    with pytest.raises(DataError, match="close names: varied"):
        data.load("varid", tfds_dir)
    with pytest.raises(DataError, match="close names: digits"):
        data.load("digit", tfds_dir)
    for name in ("my-photos", "photos/2024/may", "photos 2024", "photos.zip"):
        with pytest.raises(DataError, match=f"no data set '{name}': ") as raised:
            data.load(name, tfds_dir)
        assert "\n" not in str(raised.value)


def test_float_images_are_refused(tmp_path):
    """TFDS stores them as PNGs of the four bytes of each number."""
    images = np.random.default_rng(0).random((4, 5, 5, 1), np.float32)
    tfds.dataset_builders.store_as_tfds_dataset(
        name="floats",
        version="1.0.0",
        data_dir=tmp_path,
        split_datasets={"train": tf.data.Dataset.from_tensor_slices({"image": images})},
        features=tfds.features.FeaturesDict(
            {"image": tfds.features.Image(shape=(5, 5, 1), dtype=np.float32)}
        ),
    )
    with pytest.raises(DataError, match="'floats' has images of float32: prepare it with"):
        data.load("floats", tmp_path)


@pytest.fixture
def cut(tfds_dir, tmp_path):
    """Copies of the prepared sets whose training files are cut short."""
    shutil.copytree(tfds_dir, tmp_path, dirs_exist_ok=True)
    for path in tmp_path.glob("*/*/*-train.*"):
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    return tmp_path


def read(source):
    recipes = augment.recipes("none", size=8)
    yield data.batches(source, "train", global_batch=30, seed=0, recipes=recipes)
    yield data.examples(source, "train", recipe=recipes[0])


@pytest.mark.parametrize("name", KINDS)
def test_files_cut_short(name, cut):
    with pytest.raises(DataError, match=f"^{name}, split 'train' cannot be read: .*prepare it"):
        next(next(read(data.load(name, cut))))


def test_streamed_files_cut_short_or_gone(cut, monkeypatch):
    monkeypatch.setattr(LIMIT, 0)
    for batches in read(data.load("varied", cut)):
        with pytest.raises(DataError, match="^varied, split 'train': reading .*truncated record"):
            list(itertools.islice(batches, 2))
    next(cut.glob("varied/*/*-train.*")).unlink()
    for batches in read(data.load("varied", cut)):
        with pytest.raises(DataError, match="^varied, split 'train': reading .*No such file"):
            next(batches)


def test_a_description_that_cannot_be_read(cut):
    (cut / "fixed" / "1.0.0" / "dataset_info.json").write_text("{")
    for name in ("fixed", str(cut / "fixed" / "1.0.0")):
        with pytest.raises(DataError, match="cannot be read: Failed to load JSON.*prepare it"):
            data.load(name, cut)


class Registered(tfds.core.GeneratorBasedBuilder):
    """A data set that TFDS knows by name, with files to be downloaded by hand."""

    VERSION = tfds.core.Version("1.0.0")
    MANUAL_DOWNLOAD_INSTRUCTIONS = "Put pictures.txt into it."

    def _info(self):
        features = tfds.features.FeaturesDict({"image": tfds.features.Image(shape=(None, None, 3))})
        return self.dataset_info_from_configs(features=features, description="", citation="")

    def _split_generators(self, dl_manager):
        count = int((dl_manager.manual_dir / "pictures.txt").read_text())
        return {"train": ((i, {"image": picture(i)}) for i in range(count))}

    def _generate_examples(self):
        raise AssertionError("the generators of the splits are given directly")


def test_preparing(tmp_path, capsys):
    """A registered data set, before and after its files were put where they belong."""
    with pytest.raises(DataError, match="'registered' is not prepared .*Put pictures.txt into it"):
        data.load("registered", tmp_path)
    assert prepare.main(["registered", f"--data_dir={tmp_path}"]) == 1
    assert "'registered' could not be prepared: Manual directory" in capsys.readouterr().err
    manual = tmp_path / "downloads" / "manual"
    manual.mkdir(parents=True, exist_ok=True)
    (manual / "pictures.txt").write_text("5")
    assert prepare.main(["registered", f"--data_dir={tmp_path}"]) == 0
    assert "registered: train 5 examples in" in capsys.readouterr().out
    source = data.load("registered", tmp_path)
    assert source.size("train") == 5
    assert source.labels("train") is None
    assert list(source.records("train").fetch(np.arange(5))[0])


def test_downloading_on_demand(tmp_path):
    (tmp_path / "downloads" / "manual").mkdir(parents=True)
    (tmp_path / "downloads" / "manual" / "pictures.txt").write_text("3")
    assert data.load("registered", tmp_path, download=True).size("train") == 3
