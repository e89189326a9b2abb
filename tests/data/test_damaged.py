"""Damaged images: named, left out, limited in number."""

import dataclasses
import itertools

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from jax_bt import augment, data
from jax_bt.data import folder as folders
from jax_bt.data import tfds_source
from jax_bt.errors import DataError

from .conftest import picture

RECIPES = augment.recipes("none", size=6)


@pytest.fixture
def damaged(tmp_path, monkeypatch):
    """Fourteen files, of which 3.png, 7.png and 11.png are damaged, unknown to the source."""
    monkeypatch.setattr(folders, "CHECKED_FILES", 0)
    for i in range(14):
        path = tmp_path / f"{i:02d}.png"
        Image.fromarray(picture(i)).save(path)
        if i in (3, 7, 11):
            path.write_bytes(path.read_bytes()[:-30])
    return data.load(str(tmp_path))


def take(source, count, **options):
    options = {"global_batch": 5, "seed": 0, "recipes": RECIPES} | options
    return list(itertools.islice(data.batches(source, "train", **options), count))


def named(caplog):
    """The damaged files the log names, one entry a message."""
    lines = (r.getMessage() for r in caplog.records)
    return sorted(m.split(".png")[0][-2:] for m in lines if "cannot be decoded" in m)


def test_batches_name_and_replace_them(damaged, caplog):
    """14 examples, batches of 5: of every epoch 10 are used, and 4 are there to replace."""
    run = take(damaged, 12)
    seen = np.concatenate([b["index"] for b in run])
    assert not {3, 7, 11} & set(seen.tolist())
    assert set(seen.tolist()) == set(range(14)) - {3, 7, 11}
    assert named(caplog) == ["03", "07", "11"]


def test_what_replaces_does_not_depend_on_when_it_was_found(damaged):
    run = take(damaged, 6)
    for step in range(6):
        resumed = take(damaged, 1, start_step=step)[0]
        np.testing.assert_array_equal(resumed["index"], run[step]["index"])
        np.testing.assert_array_equal(resumed["views"][0], run[step]["views"][0])
    halves = [take(damaged, 3, global_batch=4, process_index=i, process_count=2) for i in range(2)]
    for step, whole in enumerate(take(damaged, 3, global_batch=4)):
        parts = np.concatenate([h[step]["index"] for h in halves])
        np.testing.assert_array_equal(parts, whole["index"])


def test_examples_leave_them_out(damaged, caplog):
    found = [b["index"] for b in data.examples(damaged, "train", size=6, batch=4)]
    np.testing.assert_array_equal(np.concatenate(found), [0, 1, 2, 4, 5, 6, 8, 9, 10, 12, 13])
    assert named(caplog) == ["03", "07", "11"]


def test_the_limit(damaged):
    with pytest.raises(DataError, match="more than 2 images cannot be decoded, the last of them"):
        take(damaged, 12, max_undecodable=2)
    with pytest.raises(DataError, match="more than 0 images cannot be decoded"):
        list(data.examples(damaged, "train", size=6, max_undecodable=0))


def test_a_file_that_went_away(tmp_path, caplog):
    for i in range(4):
        Image.fromarray(picture(i)).save(tmp_path / f"0{i}.png")
    source = data.load(str(tmp_path))
    (tmp_path / "02.png").unlink()
    seen = np.concatenate([b["index"] for b in take(source, 4, global_batch=3)])
    assert 2 not in seen
    assert [r.getMessage() for r in caplog.records if "the file is gone" in r.getMessage()]


def test_streams(tfds_dir, monkeypatch, caplog):
    """A damaged record gives its place to a neighbour."""
    monkeypatch.setattr(tfds_source, "MEMORY_LIMIT", 0)
    records = data.load("varied", tfds_dir).records("train")
    good = records.parse

    def damage(record):
        image, label = good(record)
        return tf.where(label == 1, tf.strings.substr(image, 0, 40), image), label

    records = dataclasses.replace(records, parse=damage)
    source = data.Source("varied", {"train": 30}, lambda split: records)
    run = take(source, 5, global_batch=6)
    assert all((b["label"] != 1).all() for b in run)
    assert any("record 1 of" in r.getMessage() for r in caplog.records)
    resumed = take(source, 1, global_batch=6, start_step=3)[0]
    np.testing.assert_array_equal(resumed["index"], run[3]["index"])
    kept = np.concatenate([b["index"] for b in data.examples(source, "train", size=6)])
    np.testing.assert_array_equal(kept, [i for i in range(30) if i % 3 != 1])
