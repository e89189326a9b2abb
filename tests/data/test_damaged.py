"""Damaged images: named, left out, limited in number."""

import dataclasses
import itertools

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from jax_bt import augment, data
from jax_bt.data.sources import folder, tfds
from jax_bt.errors import DataError

from .conftest import picture

RECIPES = augment.recipes("none", size=6)


@pytest.fixture
def damaged(tmp_path, monkeypatch):
    """Fourteen files, of which 3.png, 7.png and 11.png are damaged, unknown to the source."""
    monkeypatch.setattr(folder, "CHECKED_FILES", 0)
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
    found = [b["index"] for b in data.examples(damaged, "train", recipe=RECIPES[0], batch=4)]
    np.testing.assert_array_equal(np.concatenate(found), [0, 1, 2, 4, 5, 6, 8, 9, 10, 12, 13])
    assert named(caplog) == ["03", "07", "11"]


def test_the_limit(damaged):
    with pytest.raises(DataError, match=r"^3 images cannot be decoded \(3 .png\), at most 2"):
        take(damaged, 12, max_undecodable=2)
    with pytest.raises(DataError, match="convert them to JPEG or PNG or remove them$"):
        list(data.examples(damaged, "train", recipe=RECIPES[0], max_undecodable=0))


def test_very_many_are_counted_by_kind(tmp_path, caplog):
    """101 files of a format that nothing reads: one line, of which three names."""
    Image.fromarray(picture(0)).save(tmp_path / "good.png")
    for i in range(101):
        content = b"\0\0\0\x18ftypheic" if i else b""
        (tmp_path / f"{i:03d}{'.png' if i < 2 else '.jpg'}").write_bytes(content)
    with pytest.raises(DataError) as raised:
        data.load(tmp_path)
    message = str(raised.value)
    assert "\n" not in message
    assert message.startswith("101 images cannot be decoded (99 .jpg, 2 .png), at most 100 may be")
    assert "000.png (the file is empty)" in message
    assert "001.png (not an image of a known format)" in message
    assert "002.jpg" in message and "003.jpg" not in message
    assert not caplog.records


def test_some_are_warned_of_and_the_others_are_information(tmp_path, caplog):
    for i in range(14):
        Image.fromarray(picture(i)).save(tmp_path / f"{i:02d}.png")
        if i:
            (tmp_path / f"{i:02d}.png").write_bytes(b"text")
    caplog.set_level("INFO", "jax_bt")
    assert data.load(tmp_path).size("train") == 1
    levels = [r.levelname for r in caplog.records if "skipped" in r.getMessage()]
    assert levels == ["WARNING"] * 10 + ["INFO"] * 3
    assert "more than 10 images cannot be decoded" in caplog.records[-1].getMessage()


@pytest.mark.parametrize("kind", ["folder", "stream"])
def test_nothing_decodable_in_reach_ends_the_run(kind, tmp_path, tfds_dir, monkeypatch):
    """It used to try the same step for ever."""
    if kind == "folder":
        monkeypatch.setattr(folder, "CHECKED_FILES", 0)
        for i in range(4):
            (tmp_path / f"{i}.png").write_text("text")
        source = data.load(tmp_path)
    else:
        monkeypatch.setattr(tfds, "MEMORY_LIMIT", 0)
        records = data.load("varied", tfds_dir).records("train")
        good = records.parse
        records = dataclasses.replace(
            records, parse=lambda r: (tf.strings.substr(good(r)[0], 0, 40), good(r)[1])
        )
        source = data.Source("varied", {"train": 30}, lambda split: records)
    with pytest.raises(DataError, match="no image is left that can take the place of"):
        take(source, 1, global_batch=2)


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
    monkeypatch.setattr(tfds, "MEMORY_LIMIT", 0)
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
    kept = np.concatenate([b["index"] for b in data.examples(source, "train", recipe=RECIPES[0])])
    np.testing.assert_array_equal(kept, [i for i in range(30) if i % 3 != 1])
