"""Arrays in memory, .npz files, the embedded digits."""

import numpy as np
import pytest

from jax_bt import augment, data
from jax_bt.errors import DataError


def images(count=4, shape=(5, 6, 3)):
    return np.random.default_rng(0).integers(0, 256, (count, *shape), dtype=np.uint8)


def test_digits():
    source = data.load("digits")
    assert source.splits == ("train", "test")
    assert (source.size("train"), source.size("test")) == (1297, 500)
    assert source.num_classes == 10
    assert source.class_names == tuple("0123456789")
    assert source.image_shape == (8, 8, 3)
    np.testing.assert_array_equal(np.bincount(source.labels("test")), np.full(10, 50))
    from sklearn import datasets

    stored = datasets.load_digits()
    both = [source.records(s).fetch(np.arange(source.size(s))) for s in source.splits]
    pixels = np.concatenate([x for x, _ in both]).astype(float).reshape(-1, 64) / 255 * 16
    labels = np.concatenate([y for _, y in both])
    # Every digit once, with its label, to the rounding of 17 grey levels to 8 bits.
    order = np.lexsort(np.round(pixels).T)
    expected = np.lexsort(stored.data.T)
    np.testing.assert_allclose(pixels[order], stored.data[expected], atol=0.04)
    np.testing.assert_array_equal(labels[order], stored.target[expected])


def test_the_split_of_the_digits_is_fixed():
    records = data.load("digits").records("test")
    np.testing.assert_array_equal(
        records.labels()[:20], [0, 1, 2, 8, 9, 1, 3, 6, 7, 0, 1, 5, 8, 9, 7, 0, 2, 6, 3, 6]
    )


def test_shapes_and_labels():
    grey = images(shape=(5, 6))
    source = data.from_arrays({"train": (grey, np.array([0, 4, 2, 1])), "extra": images(2)})
    assert source.num_classes == 5
    assert source.class_names is None
    assert source.image_shape == (5, 6, 3)
    assert source.labels("extra") is None
    np.testing.assert_array_equal(source.labels("train[1:3]"), [4, 2])
    payload, labels = source.records("train[2:]+train[:1]").fetch(np.array([2, 0]))
    np.testing.assert_array_equal(payload[..., 0], grey[[0, 2]])
    np.testing.assert_array_equal(labels, [0, 2])


def test_labelled_and_unlabelled_pieces_join():
    source = data.from_arrays({"train": (images(), np.arange(4)), "extra": images(6)})
    np.testing.assert_array_equal(source.labels("train[2:]+extra[:2]"), [2, 3, -1, -1])
    assert source.labels("extra+extra") is None
    recipes = augment.recipes("none", size=5)
    for split in ("train+extra", "extra+train"):
        labels = source.labels(split)
        run = data.batches(source, split, global_batch=2, seed=0, recipes=recipes)
        for _, batch in zip(range(5), run, strict=False):
            np.testing.assert_array_equal(batch["label"], labels[batch["index"]])


def test_pieces_of_other_shapes_do_not_join():
    source = data.from_arrays({"train": images(), "test": images(shape=(4, 4, 3))})
    assert source.image_shape is None
    with pytest.raises(DataError, match="joins parts .*: 4x4x3 pixels of uint8 and 5x6x3 pixels"):
        source.records("train+test")


def test_npz(tmp_path):
    pictures, labels = images(), np.array([0, 1, 1, 0])
    names = np.array(["cat", "dog"])
    path = tmp_path / "both.npz"
    np.savez(
        path,
        train_images=pictures,
        train_labels=labels,
        test_images=pictures[:2],
        class_names=names,
    )
    source = data.load(str(path))
    assert source.splits == ("train", "test")
    assert source.class_names == ("cat", "dog")
    np.testing.assert_array_equal(source.labels("train"), labels)
    np.savez(tmp_path / "one.npz", images=pictures)
    assert data.load(str(tmp_path / "one.npz")).splits == ("train",)
    np.savez(tmp_path / "keras.npz", x_train=pictures, y_train=labels[:, None], x_test=pictures)
    source = data.load(str(tmp_path / "keras.npz"))
    assert source.splits == ("train", "test")
    np.testing.assert_array_equal(source.labels("train"), labels)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (np.zeros((2, 5)), r"must have shape .* got \(2, 5\)"),
        (np.zeros((2, 5, 5, 4), np.uint8), r"got \(2, 5, 5, 4\)"),
        (np.zeros((0, 5, 5, 3), np.uint8), "not be empty"),
        (np.full((2, 5, 5, 3), 255.0), "must lie in .0, 1.: got 255 to 255; divide by 255"),
        (np.full((2, 5, 5, 3), np.nan), "must lie in"),
        (np.zeros((2, 5, 5, 3), np.int64), "must be uint8 or floats: got int64"),
        ((images(3), np.zeros(2, int)), "must be 3 integers"),
        ((images(3), np.zeros(3)), "dtype float64"),
    ],
)
def test_unusable_arrays(value, message):
    with pytest.raises(DataError, match=message):
        data.from_arrays({"train": value}, name="mine")


def test_unusable_files(tmp_path):
    with pytest.raises(DataError, match="holds no split"):
        data.from_arrays({})
    with pytest.raises(DataError, match="no file"):
        data.load(str(tmp_path / "missing.npz"))
    np.savez(tmp_path / "other.npz", a=np.zeros(2), b=np.zeros(2))
    with pytest.raises(DataError, match="holds no images: .* found a, b"):
        data.load(str(tmp_path / "other.npz"))
    (tmp_path / "text.npz").write_text("text")
    with pytest.raises(DataError, match="cannot be read as .npz"):
        data.load(str(tmp_path / "text.npz"))


def test_npz_that_is_cut_short_or_damaged(tmp_path):
    path = tmp_path / "x.npz"
    np.savez_compressed(path, images=images())
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match="x.npz cannot be read as .npz: it is no zip file, or cut"):
        data.load(str(path))
    path.write_bytes(whole[:60] + bytes(20) + whole[80:])
    with pytest.raises(DataError, match="x.npz cannot be read as .npz"):
        data.load(str(path))


@pytest.mark.parametrize("labels", [np.eye(4, dtype=int), np.int64(3), np.zeros(3, int)])
def test_labels_of_another_shape(tmp_path, labels):
    np.savez(tmp_path / "x.npz", images=images(), labels=labels)
    with pytest.raises(DataError, match="must be 4 integers, one per image: got shape"):
        data.load(str(tmp_path / "x.npz"))


def test_negative_labels():
    with pytest.raises(DataError, match="labels of arrays, split 'train' must not be negative"):
        data.from_arrays({"train": (images(), np.array([0, 1, -1, 2]))})
