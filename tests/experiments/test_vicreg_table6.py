"""The table of sounds: its data, and its rows that are no pretraining, on sounds told apart."""

import runpy

import numpy as np
import pytest
from suite import command, writer

from jax_bt import config, data
from jax_bt.errors import DataError

FOLDER = command.EXPERIMENTS / "vicreg_table6"
PREPARE = runpy.run_path(str(FOLDER / "prepare.py"))
RUN = runpy.run_path(str(FOLDER / "run.py"))


def given(per_fold=6, folds=3, frames=12):
    """Noise at -60 decibels, and a class's own band at -20."""
    random = np.random.default_rng(0)
    count = per_fold * folds
    labels = np.arange(count, dtype=np.uint8) % 3
    decibels = random.normal(-60, 3, (count, 8, frames))
    decibels[np.arange(count), labels * 2] = -20
    return {
        "logmel_db": decibels.astype(np.float16),
        "labels": labels,
        "folds": (np.arange(count) // per_fold + 1).astype(np.uint8),
        "class_names": np.array(["low", "middle", "high"]),
    }


@pytest.fixture
def c(tmp_path):
    """The config of the table at toy size, on these sounds."""
    np.savez(tmp_path / "esc10.npz", **PREPARE["prepared"](given()))
    c = config.esc10()
    c.data.data_dir = str(tmp_path)
    c.data.train, c.data.test = "fold1+fold2+fold3", "fold3"
    c.data.image_size = 8
    c.data.built = (c.data.built[0], {"modality": "frames", "length": 4, "bands": 8})
    c.data.built[1].update(time_mask=0, band_mask=0)
    c.batch_size, c.steps, c.optimizer.warmup_epochs = 12, 3, 0.0
    return c


def test_decibels_become_images_by_fold(tmp_path):
    np.savez(tmp_path / "esc10.npz", **PREPARE["prepared"](given()))
    source = data.load(tmp_path / "esc10.npz")
    assert [source.size(split) for split in source.splits] == [6, 6, 6]
    assert list(source.class_names) == ["low", "middle", "high"]
    np.testing.assert_array_equal(source.labels("fold2"), given()["labels"][6:12])
    images = source.records("fold2").fetch(np.arange(6))[0][..., 0]
    expected = (given()["logmel_db"][6:12].astype(float) + 80) / 80
    np.testing.assert_allclose(images / 65535, expected, atol=1 / 65535)


@pytest.mark.parametrize(
    ("changes", "answer"),
    [
        ({"logmel_db": np.full((18, 8, 12), np.nan)}, "logmel_db of .* must be finite"),
        ({"folds": np.arange(17)}, "folds of .* must be 18 integers, one per spectrogram, got"),
        ({"labels": np.zeros(18)}, "labels of .* must be 18 integers"),
    ],
)
def test_data_that_will_not_do_are_refused(changes, answer):
    with pytest.raises(DataError, match=answer):
        PREPARE["prepared"]({**given(), **changes})
    without = {k: v for k, v in given().items() if k not in changes}
    with pytest.raises(DataError, match="has no .*: it needs logmel_db, labels, folds"):
        PREPARE["prepared"](without)


def test_bands_tell_these_sounds_apart(c):
    assert RUN["band_statistics"](c) == {"linear_folds": 100.0}


def test_the_supervised_row_is_a_mean_over_folds(c):
    """A multiple of an example of the 12; the same seed gives the same."""
    c.data.train, c.batch_size = "fold1+fold2", 6
    found = RUN["supervised"](c)
    assert set(found) == {"linear_folds"}
    assert found["linear_folds"] * 12 / 100 == pytest.approx(round(found["linear_folds"] * 0.12))
    assert RUN["supervised"](c) == found


def test_a_computed_row_needs_no_run(monkeypatch, tmp_path, c):
    """Through the suite's command: its result holds scores and seconds, and its folder no run."""
    monkeypatch.setattr(command.cache, "keep_programs", lambda: None)
    record = c.to_dict()
    result = command.train(
        "bands", 4, "key", record, str(tmp_path / "none"), (), RUN["band_statistics"]
    )
    assert result.pop("seconds") >= 0 and not (tmp_path / "none").exists()
    scores = {"trained": {"linear_folds": 100.0}}
    assert result == {
        "row": "bands", "seed": 4, "config": "key", "collapse": "none", "scores": scores
    }  # fmt: skip
    rows = writer.cells(RUN["TABLE"], "esc10", [{**result, "row": "band statistics"}])
    assert rows[1][:3] == ["band statistics", "100.0", ""]
