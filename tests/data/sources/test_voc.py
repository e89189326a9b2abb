"""The PASCAL VOC layout and TFDS data sets with several labels per image."""

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_datasets as tfds
from PIL import Image

from jax_bt import augment, data
from jax_bt.data.sources.tfrecord import StreamRecords
from jax_bt.errors import DataError

from ..conftest import picture

CLASSES = ("bird", "cat", "dog")
# Per image the objects with "difficult", and the labels that follow by the devkit's rule.
OBJECTS = [
    [("bird", 0), ("cat", 1)],
    [("cat", 1), ("cat", 0)],
    [("dog", 0), ("dog", 0)],
    [("bird", 1)],
    [("dog", 1), ("bird", 0), ("cat", 0)],
]
LABELS = [(1, -1, 0), (0, 1, 0), (0, 0, 1), (-1, 0, 0), (1, 1, -1)]
SPLITS = {"trainval": (0, 1, 2), "test": (3, 4)}


def voc(root, *, lists: bool, annotations: bool):
    """A folder in the layout of 2007, with lists of each class, annotations, or both."""
    for folder in ("JPEGImages", "ImageSets/Main", "Annotations", "SegmentationClass"):
        (root / folder).mkdir(parents=True)
    for i, objects in enumerate(OBJECTS):
        Image.fromarray(picture(i)).save(root / f"JPEGImages/00000{i}.jpg")
        Image.fromarray(picture(i)).save(root / f"SegmentationClass/00000{i}.png")
        if annotations:
            marked = "".join(
                f"<object><name>{name}</name><part><name>head</name></part>"
                f"<difficult>{difficult}</difficult></object>"
                for name, difficult in objects
            )
            path = root / f"Annotations/00000{i}.xml"
            path.write_text(f"<annotation><filename>{i}</filename>{marked}</annotation>")
    for split, members in SPLITS.items():
        names = "".join(f"00000{i}\n" for i in members)
        (root / f"ImageSets/Main/{split}.txt").write_text(names)
        for k, name in enumerate(CLASSES if lists else ()):
            written = {1: " 1", 0: "-1", -1: " 0"}  # as the devkit pads them
            lines = "".join(f"00000{i} {written[LABELS[i][k]]}\n" for i in members)
            (root / f"ImageSets/Main/{name}_{split}.txt").write_text(lines)
    return root


@pytest.mark.parametrize("wrapped", ["", "VOCdevkit/VOC2007"])
@pytest.mark.parametrize("kinds", [(True, False), (False, True), (True, True)])
def test_lists_and_annotations_give_the_same_labels(kinds, wrapped, tmp_path):
    voc(tmp_path / wrapped, lists=kinds[0], annotations=kinds[1])
    source = data.load(tmp_path)
    assert source.several
    assert source.class_names == CLASSES
    assert source.splits == ("trainval", "test")
    for split, members in SPLITS.items():
        np.testing.assert_array_equal(source.labels(split), [LABELS[i] for i in members])
    np.testing.assert_array_equal(source.labels("trainval+test"), LABELS)
    assert "3 classes (bird, cat, dog), several labels per image" in source.describe()


def test_batches_carry_a_label_per_class(tmp_path):
    source = data.load(voc(tmp_path / "VOC2007", lists=True, annotations=False))
    recipe = augment.Recipe(8, (augment.CenterCrop(),))
    found = list(data.examples(source, "trainval+test", recipe=recipe, batch=2))
    np.testing.assert_array_equal(np.concatenate([b["label"] for b in found]), LABELS)
    training = data.batches(source, "trainval", global_batch=3, seed=0, recipes=[recipe])
    batch = next(training)
    np.testing.assert_array_equal(batch["label"], np.array(LABELS)[batch["index"]])


def spoil(root, what):
    main = root / "ImageSets/Main"
    match what:
        case "image":
            (root / "JPEGImages/000001.jpg").unlink()
        case "label":
            (main / "cat_test.txt").write_text("000003 2\n000004 1\n")
        case "line":
            (main / "cat_test.txt").write_text("000003 1\n")
        case "split":
            (main / "test.txt").write_text("")
        case "lists":
            for path in main.iterdir():
                path.unlink()
        case "annotation":
            for path in main.glob("*_*.txt"):
                path.unlink()
            (root / "Annotations/000001.xml").write_text("<annotation>")
        case "annotations":
            for path in main.glob("*_*.txt"):
                path.unlink()
            (root / "Annotations/000001.xml").unlink()


@pytest.mark.parametrize(
    ("what", "answer"),
    [
        ("image", "trainval.txt names 000001.jpg, which is not in JPEGImages"),
        ("label", "cat_test.txt cannot be understood at 000003"),
        ("line", "cat_test.txt cannot be understood at 000004"),
        ("split", "test.txt is empty"),
        ("lists", "has no list of images: expected one of train, val, trainval, test"),
        ("annotation", "000001.xml is no annotation that can be read"),
        ("annotations", "000001.xml does not exist"),
    ],
)
def test_what_is_damaged_is_named(what, answer, tmp_path):
    root = voc(tmp_path / "VOC2007", lists=True, annotations=True)
    spoil(root, what)
    with pytest.raises(DataError, match=answer):
        data.load(root)


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    """The same examples as TFDS stores voc/2007, in both file formats."""
    folder = tmp_path_factory.mktemp("tfds")
    names = {name: k for k, name in enumerate(CLASSES)}

    def generate(members):
        for i in members:
            yield {
                "image": picture(i, 24 + i, 20),
                "labels": sorted({names[name] for name, _ in OBJECTS[i]}),
                "labels_no_difficult": sorted({names[n] for n, hard in OBJECTS[i] if not hard}),
            }

    several = tf.TensorSpec((None,), tf.int64)
    signature = {
        "image": tf.TensorSpec((None, None, 3), tf.uint8),
        "labels": several,
        "labels_no_difficult": several,
    }
    classes = tfds.features.ClassLabel(names=list(CLASSES))
    tfds.disable_progress_bar()
    for name, file_format in (("streamed", "tfrecord"), ("indexed", "array_record")):
        tfds.dataset_builders.store_as_tfds_dataset(
            name=name,
            version="1.0.0",
            data_dir=folder,
            split_datasets={
                split: tf.data.Dataset.from_generator(
                    lambda m=members: generate(m), output_signature=signature
                )
                for split, members in SPLITS.items()
            },
            features=tfds.features.FeaturesDict(
                {
                    "image": tfds.features.Image(shape=(None, None, 3), encoding_format="png"),
                    "labels": tfds.features.Sequence(classes),
                    "labels_no_difficult": tfds.features.Sequence(classes),
                }
            ),
            file_format=file_format,
            disable_shuffling=True,
        )
    return folder


@pytest.mark.parametrize("limit", [0, 2**30])
@pytest.mark.parametrize("name", ["streamed", "indexed"])
def test_of_tfds(name, limit, prepared, monkeypatch):
    monkeypatch.setattr("jax_bt.data.sources.tfds.MEMORY_LIMIT", limit)
    source = data.load(name, prepared)
    assert source.several
    assert source.class_names == CLASSES
    assert isinstance(source.records("test"), StreamRecords) == (name == "streamed" and not limit)
    for split, members in {**SPLITS, "trainval+test": range(5)}.items():
        expected = [LABELS[i] for i in members]
        np.testing.assert_array_equal(source.labels(split), expected)
        recipe = augment.Recipe(8, (augment.CenterCrop(),))
        found = data.examples(source, split, recipe=recipe, batch=2)
        np.testing.assert_array_equal(np.concatenate([b["label"] for b in found]), expected)
        batch = next(data.batches(source, split, global_batch=2, seed=0, recipes=[recipe]))
        np.testing.assert_array_equal(batch["label"], np.array(expected)[batch["index"]])
