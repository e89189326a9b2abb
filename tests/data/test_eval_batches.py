"""Evaluation batches: everything once, in order."""

import numpy as np
import pytest

from jax_bt import augment, data
from jax_bt.data import tfds_source


@pytest.mark.parametrize("name", ["fixed", "varied", "indexed", "streamed"])
def test_everything_once_in_order(name, tfds_dir, monkeypatch):
    if name == "streamed":
        name = "varied"
        monkeypatch.setattr(tfds_source, "MEMORY_LIMIT", 0)
    source = data.load(name, tfds_dir)
    batches = list(data.examples(source, "train[3:]", size=12, batch=8))
    assert [len(b["index"]) for b in batches] == [8, 8, 8, 3]
    assert all(b["image"].shape[1:] == (12, 12, 3) for b in batches)
    index = np.concatenate([b["index"] for b in batches])
    np.testing.assert_array_equal(index, np.arange(27))
    label = np.concatenate([b["label"] for b in batches])
    np.testing.assert_array_equal(label, source.labels("train[3:]"))

    image = np.concatenate([b["image"] for b in batches])
    parts = [
        list(data.examples(source, "train[3:]", size=12, batch=8, process_index=i, process_count=2))
        for i in range(2)
    ]
    for i, part in enumerate(parts):
        np.testing.assert_array_equal(np.concatenate([b["image"] for b in part]), image[i::2])


def test_the_recipe_decides():
    images = np.random.default_rng(0).integers(0, 256, (5, 16, 16, 3), dtype=np.uint8)
    source = data.from_arrays({"train": images})
    (raw,) = data.examples(source, "train", size=16, recipe=augment.recipes("none", size=16)[0])
    assert "label" not in raw
    mean, std = (
        np.array(v) for v in (augment.recipes("eval")[0].mean, augment.recipes("eval")[0].std)
    )
    (batch,) = data.examples(source, "train", size=14)
    # The "eval" recipe: 14 / 0.875 = 16, so its centre crop is the middle of the image itself.
    np.testing.assert_allclose(batch["image"] * std + mean, images[:, 1:-1, 1:-1] / 255, atol=1e-5)
