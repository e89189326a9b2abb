"""Captions of TFDS data sets, stored in either format and read without their images."""

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_datasets as tfds

from jax_bt import augment, data
from jax_bt.data.sources import smoke

from ..conftest import picture

TEXTS = [[f"picture {i}\n", f"the {i}th"][: 1 + i % 2] for i in range(7)]


@pytest.fixture(scope="module", params=["tfrecord", "array_record"])
def folder(request, tmp_path_factory):
    """Seven images with one or two captions each, with numbers beside them as MS-COCO's have."""
    where = tmp_path_factory.mktemp(request.param)

    def generate():
        for i, texts in enumerate(TEXTS):
            captions = {"id": [*range(len(texts))], "text": texts}
            yield {"image": picture(i, 9, 8 + i), "captions": captions}

    signature = {
        "image": tf.TensorSpec((None, None, 3), tf.uint8),
        "captions": {
            "id": tf.TensorSpec((None,), tf.int64),
            "text": tf.TensorSpec((None,), tf.string),
        },
    }
    tfds.disable_progress_bar()
    tfds.dataset_builders.store_as_tfds_dataset(
        name="captioned",
        version="1.0.0",
        data_dir=where,
        split_datasets={
            "train": tf.data.Dataset.from_generator(generate, output_signature=signature)
        },
        features=tfds.features.FeaturesDict(
            {
                "image": tfds.features.Image(shape=(None, None, 3), encoding_format="png"),
                "captions": tfds.features.Sequence({"id": np.int64, "text": tfds.features.Text()}),
            }
        ),
        file_format=request.param,
        disable_shuffling=True,
    )
    return where


@pytest.mark.parametrize("limit", [0, 2**30])
def test_captions_by_index(folder, limit, monkeypatch):
    """As stored, in memory and streamed, without the line breaks that MS-COCO's end with."""
    monkeypatch.setattr("jax_bt.data.sources.tfds.MEMORY_LIMIT", limit)
    source = data.load("captioned", folder)
    expected = [[text.strip() for text in row] + [""] * (2 - len(row)) for row in TEXTS]
    assert source.column("train", "captions").tolist() == expected
    assert source.column("train[2:4]", "captions").tolist() == expected[2:4]
    recipes = (augment.recipe_from({"size": 8, "crop": {}}), augment.Tokens(length=5))
    source = data.prepared(source, recipes, "train")
    batch = next(data.batches(source, "train", global_batch=4, seed=0, recipes=recipes))
    words = source.kept["vocabulary.txt"].splitlines()
    for index, row in zip(batch["index"], batch["views"][1], strict=True):
        assert f"{index}" in "".join(words[word] for word in row)


def test_the_data_of_smoke_runs_have_two_captions_each(tmp_path):
    source = data.load("jax_bt_smoke", smoke.prepare(tmp_path))
    captions, labels = source.column("test", "captions"), source.labels("test")
    assert captions.shape == (32, 2)
    for row, label in zip(captions, labels, strict=True):
        assert row[0] == f"the number {smoke.NAMES[label]}"
        assert row[1].split()[1] in smoke.COLORS and row[1].endswith(smoke.NAMES[label])
