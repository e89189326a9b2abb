"""Evaluation batches: everything once, in order."""

import numpy as np
import pytest
from PIL import Image

from jax_bt import augment, data
from jax_bt.data.sources import folder, tfds
from jax_bt.errors import DataError

from .conftest import picture

RECIPE = augment.recipes("eval", size=12)[0]


@pytest.mark.parametrize("name", ["fixed", "varied", "indexed", "streamed"])
def test_everything_once_in_order(name, tfds_dir, monkeypatch):
    if name == "streamed":
        name = "varied"
        monkeypatch.setattr(tfds, "MEMORY_LIMIT", 0)
    source = data.load(name, tfds_dir)
    options = {"recipe": RECIPE, "batch": 8}
    batches = list(data.examples(source, "train[3:]", **options))
    assert [len(b["index"]) for b in batches] == [8, 8, 8, 3]
    assert all(b["image"].shape[1:] == (12, 12, 3) for b in batches)
    index = np.concatenate([b["index"] for b in batches])
    np.testing.assert_array_equal(index, np.arange(27))
    label = np.concatenate([b["label"] for b in batches])
    np.testing.assert_array_equal(label, source.labels("train[3:]"))

    image = np.concatenate([b["image"] for b in batches])
    parts = [
        list(
            data.examples(
                source, "train[3:]", recipe=RECIPE, batch=8, process_index=i, process_count=2
            )
        )
        for i in range(2)
    ]
    for i, part in enumerate(parts):
        np.testing.assert_array_equal(np.concatenate([b["image"] for b in part]), image[i::2])


def test_the_recipe_decides():
    images = np.random.default_rng(0).integers(0, 256, (5, 16, 16, 3), dtype=np.uint8)
    source = data.from_arrays({"train": images})
    (raw,) = data.examples(source, "train", recipe=augment.recipes("none", size=16)[0])
    assert "label" not in raw
    (recipe,) = augment.recipes("eval", size=14)
    (batch,) = data.examples(source, "train", recipe=recipe)
    # 14 / 0.875 = 16, so the centre crop is the middle of the image itself.
    unit = batch["image"] * np.array(recipe.std) + np.array(recipe.mean)
    np.testing.assert_allclose(unit, images[:, 1:-1, 1:-1] / 255, atol=1e-5)
    with pytest.raises(TypeError, match="recipe"):
        data.examples(source, "train")


@pytest.mark.parametrize("name", ["fixed", "varied", "indexed", "streamed"])
def test_chosen_examples_are_those_of_the_batches(name, tfds_dir, monkeypatch):
    if name == "streamed":
        name = "varied"
        monkeypatch.setattr(tfds, "MEMORY_LIMIT", 0)
    source = data.load(name, tfds_dir)
    (whole,) = data.examples(source, "train[3:]", recipe=RECIPE)
    wanted = np.array([[20, 4, 4], [0, 26, 9]])
    found = data.chosen(source, "train[3:]", wanted.ravel(), RECIPE)
    np.testing.assert_array_equal(found, whole["image"][wanted.ravel()])
    assert data.chosen(source, "train", [], RECIPE).shape == (0, 12, 12, 3)
    with pytest.raises(DataError, match="no example 27 in .*, split 'train.3:.', which has 27"):
        data.chosen(source, "train[3:]", [0, 27], RECIPE)


def test_chosen_by_index_where_an_image_is_damaged(tmp_path, monkeypatch):
    """Positions of features and indices of examples differ behind a damaged image."""
    monkeypatch.setattr(folder, "CHECKED_FILES", 0)
    for i in range(6):
        Image.fromarray(picture(i)).save(tmp_path / f"{i}.png")
    (tmp_path / "2.png").write_text("text")
    source = data.load(tmp_path)
    (batch,) = data.examples(source, "train", recipe=RECIPE)
    np.testing.assert_array_equal(batch["index"], [0, 1, 3, 4, 5])
    at = [4, 0, 2]
    found = data.chosen(source, "train", batch["index"][at], RECIPE)
    np.testing.assert_array_equal(found, batch["image"][at])
    with pytest.raises(DataError, match="2.png cannot be decoded .not an image of a known format"):
        data.chosen(source, "train", [2], RECIPE)


def test_labels_are_minus_one_where_there_are_none():
    images = np.zeros((4, 8, 8, 3), np.uint8)
    source = data.from_arrays(
        {"train": (images, np.array([0, 1, -1, 1])), "extra": images, "test": images}
    )
    (batch,) = data.examples(source, "train+extra", recipe=augment.recipes("none", 8)[0])
    np.testing.assert_array_equal(batch["label"], [0, 1, -1, 1, -1, -1, -1, -1])
    assert source.num_classes == 2
    assert source.has_labels("train+extra") and not source.has_labels("extra+test")
