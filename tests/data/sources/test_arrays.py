"""Arrays in memory, .npz files, the embedded digits."""

import numpy as np
import pytest
import tensorflow as tf

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
    assert source.channels == 3
    assert source.describe() == (
        "digits: train 1,297 images, test 500 images, 10 classes (0, 1, 2, ...)"
    )
    # As in earlier versions, slices are consecutive: the digits come mixed.
    np.testing.assert_array_equal(source.labels("test[5:9]"), source.labels("test")[5:9])
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
    source = data.from_arrays({"train": (grey, np.array([0, 3, 2, 1])), "extra": images(2)})
    assert source.num_classes == 4
    assert source.class_names is None
    assert source.channels == 3  # one is repeated
    assert source.labels("extra") is None
    assert source.describe() == ("arrays: train 4 images, extra 2 images without labels, 4 classes")
    payload, labels = source.records("train+train").fetch(np.array([2, 0, 7]))
    np.testing.assert_array_equal(payload[..., 0], grey[[2, 0, 3]])
    np.testing.assert_array_equal(labels, [2, 0, 1])


@pytest.mark.parametrize("channels", [2, 4, 10])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float64])
def test_any_number_of_channels(channels, dtype):
    pixels = np.ones((3, 8, 8, channels), dtype)
    source = data.from_arrays({"train": pixels})
    assert source.channels == channels
    assert source.describe() == f"arrays: train 3 images, no labels, {channels} channels"
    stored = np.float32 if dtype == np.float64 else dtype
    assert source.records("train").fetch(np.arange(1))[0].dtype == stored
    with pytest.raises(DataError, match="have images of . and [0-9]+ channels"):
        data.from_arrays({"train": pixels, "test": images()})


def test_slices_of_sorted_arrays_are_mixed_and_share_out_the_split():
    labels = np.repeat(np.arange(4), 50)
    source = data.from_arrays({"train": (images(200), labels)})
    halves = [source.records(f"train{part}").fetch(np.arange(100)) for part in ("[:50%]", "[50%:]")]
    for _, some in halves:
        assert (np.bincount(some) >= 15).all()  # 25 of each, 3 standard deviations are 10
        assert (np.diff(some) >= 0).all()  # in the order of the split
    again = data.from_arrays({"train": (images(200), labels)})
    np.testing.assert_array_equal(again.labels("train[:50%]"), halves[0][1])
    whole = source.records("train[:50%]+train[50%:]").fetch(np.arange(200))[0]
    as_sets = [sorted(x.tobytes() for x in y) for y in (whole, images(200))]
    assert as_sets[0] == as_sets[1]
    np.testing.assert_array_equal(source.labels("train[:]"), labels)


def test_classes_are_the_labels_that_occur():
    sparse = np.array([7, 200_000, 7, 12])
    source = data.from_arrays({"train": (images(), sparse), "test": (images(2), np.array([-1, 3]))})
    assert source.num_classes == 4
    assert source.class_names == ("3", "7", "12", "200000")
    np.testing.assert_array_equal(source.labels("train"), [1, 3, 1, 2])
    np.testing.assert_array_equal(source.labels("test"), [-1, 0])
    named = data.from_arrays({"train": (images(), np.array([0, 0, 2, 0]))}, class_names="abcd")
    assert (named.num_classes, named.class_names) == (4, ("a", "b", "c", "d"))
    with pytest.raises(DataError, match="has 2 class names, but a label 2: give one name for each"):
        data.from_arrays({"train": (images(), np.array([0, 0, 2, 0]))}, class_names="ab")
    nothing = data.from_arrays({"train": (images(), np.full(4, -1))})
    assert nothing.num_classes is None
    assert not nothing.has_labels("train")


def test_a_fingerprint_tells_that_data_have_changed():
    def of(pixels, split="train"):
        return data.from_arrays({"train": pixels}).fingerprint(split)

    first = of(images())
    assert first["size"] == 4
    assert first == of(images())
    changed = images()
    changed[3, 0, 0, 0] ^= 1
    labelled = (images(), np.arange(4))
    others = [of(changed), of(images(5)), of(images(), "train[:2]"), of(labelled)]
    assert len({x["names"] for x in (first, *others)}) == 5


def test_what_is_in_memory_can_be_loaded():
    source = data.from_arrays({"train": images()})
    assert data.load(source) is source
    assert data.load({"train": (images(), np.arange(4))}).num_classes == 4
    assert data.load(images()).splits == ("train",)
    assert data.load((images(), np.arange(4))).num_classes == 4


def test_labelled_and_unlabelled_pieces_join():
    source = data.from_arrays({"train": (images(), np.arange(4)), "extra": images(6)})
    assert sorted(source.labels("train[2:]+extra[:2]")[:2]) != [-1, -1]
    np.testing.assert_array_equal(source.labels("train[2:]+extra[:2]")[2:], [-1, -1])
    assert source.labels("extra+extra") is None
    recipes = augment.recipes("none", size=5)
    for split in ("train+extra", "extra+train"):
        labels = source.labels(split)
        run = data.batches(source, split, global_batch=2, seed=0, recipes=recipes)
        for _, batch in zip(range(5), run, strict=False):
            np.testing.assert_array_equal(batch["label"], labels[batch["index"]])


def test_pieces_of_other_shapes_do_not_join():
    source = data.from_arrays({"train": images(), "test": images(shape=(4, 4, 3))})
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
    ("x", "y", "split"),
    [
        ("images", "labels", "train"),
        ("x", "y", "train"),
        ("X", "Y", "train"),
        ("train_x", "train_y", "train"),
        ("x_train", "y_train", "train"),
        ("X_val", "y_val", "val"),
        ("Val_Images", "val_labels", "val"),
        ("data", "labels", "train"),
    ],
)
def test_names_in_npz_files(tmp_path, x, y, split):
    path = tmp_path / "some.NPZ"
    with open(path, "wb") as file:
        np.savez(file, **{x: images(), y: np.array([0, 1, 1, 0])})
    source = data.load(path)
    assert source.splits == (split,)
    np.testing.assert_array_equal(source.labels(split), [0, 1, 1, 0])


def test_remote_files_and_the_home_folder(tmp_path, monkeypatch):
    """TensorFlow's file system in memory stands for gs:// and s3://."""
    np.savez(tmp_path / "x.npz", images=images())
    monkeypatch.setenv("HOME", str(tmp_path))
    assert data.load("~/x.npz").size("train") == 4
    tf.io.gfile.copy(str(tmp_path / "x.npz"), "ram://bucket_of_arrays/x.npz", overwrite=True)
    assert data.load("ram://bucket_of_arrays/x.npz").size("train") == 4
    for name, why in (
        ("ram://bucket_of_arrays/y.npz", "NotFoundError"),
        ("s9://bucket/x.npz", "TensorFlow has no driver for this kind of path: mount or copy"),
        ("s9://bucket/folder", "TensorFlow has no driver"),
    ):
        with pytest.raises(DataError, match=f"^{name} cannot be read: {why}") as raised:
            data.load(name)
        assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (np.zeros((2, 5)), r"must have shape .* got \(2, 5\)"),
        (np.zeros((2, 3, 5, 6), np.uint8), r"looks like \(N, channels, H, W\): transpose them"),
        (np.zeros((2, 10, 32, 32), np.float32), r"images.transpose\(0, 2, 3, 1\)"),
        (np.zeros((0, 5, 5, 3), np.uint8), "not be empty"),
        (np.full((2, 5, 5, 3), 255.0), "must lie in .0, 1.: got 255 to 255; divide by 255"),
        (np.full((2, 5, 5, 3), np.nan), "must lie in .* some values are NaN"),
        (np.full((2, 5, 5, 3), -0.5), r"standardised, or in \[-1, 1\]\? map them to \[0, 1\]"),
        (np.zeros((2, 5, 5, 3), np.int64), "must be uint8, uint16 or floats .* got int64"),
        ([np.zeros((4, 4, 3)), np.zeros((5, 4, 3))], "must be one array: .* as a folder of files"),
        (None, r"must have shape .* got \(\)"),
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


def test_npz_that_may_not_be_read(tmp_path, monkeypatch):
    def refuse(path, mode):
        raise PermissionError(13, "Permission denied", str(path))

    (tmp_path / "x.npz").touch()
    monkeypatch.setattr("builtins.open", refuse)
    with pytest.raises(DataError, match="x.npz cannot be read: Permission denied: .*x.npz$"):
        data.load(tmp_path / "x.npz")


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
        data.from_arrays({"train": (images(), np.array([0, 1, -2, 2]))})
