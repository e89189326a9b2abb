"""Sounds in ESC-50's layout: folds, spectrograms, waveforms, formats, and what is refused."""

import itertools

import numpy as np
import pytest
from scipy.io import wavfile

from jax_bt import augment, data
from jax_bt.data.spectrogram import log_mel
from jax_bt.errors import DataError, UsageError

RATE, LENGTH = 8000, 4096


def sound(i, length=LENGTH):
    time = np.arange(length) / RATE
    return np.round(8000 * np.sin(2 * np.pi * (200 + 100 * i) * time)).astype(np.int16)


def write(root, rows, header="filename,fold,target,category"):
    (root / "meta").mkdir(exist_ok=True)
    (root / "audio").mkdir(exist_ok=True)
    text = "\n".join([header, *(",".join(map(str, row)) for row in rows)])
    (root / "meta" / "esc50.csv").write_text(text + "\n")


ROWS = [(f"{i}.wav", 1 + i % 2, i % 3, ("dog", "rain", "clock")[i % 3]) for i in range(10)]


@pytest.fixture
def folder(tmp_path):
    write(tmp_path, ROWS)
    for i, (name, *_) in enumerate(ROWS):
        wavfile.write(tmp_path / "audio" / name, RATE, sound(i, LENGTH - 96 * (i == 4)))
    return tmp_path


def test_folds_spectrograms_and_waveforms(folder):
    source = data.load(folder)
    assert source.splits == ("fold1", "fold2") and source.size("fold1+fold2") == 10
    assert source.class_names == ("dog", "rain", "clock")
    np.testing.assert_array_equal(source.labels("fold2"), [1, 0, 2, 1, 0])
    assert source.columns == ("waveform",)
    waves = source.column("fold1", "waveform")
    np.testing.assert_array_equal(waves[1], sound(2))
    np.testing.assert_array_equal(waves[2], [*sound(4)[: LENGTH - 96], *[0] * 96])
    image, _ = source.records("fold1").fetch(np.array([1]))
    assert image.dtype == np.uint16 and image.shape == (1, 64, 7, 1)
    expected = log_mel(sound(2)[None], RATE)
    np.testing.assert_allclose(image[..., 0] / 65535, expected, atol=1 / 65535)


@pytest.mark.parametrize(
    ("convert", "tolerance"),
    [
        (lambda x: (x / 32768).astype(np.float32), 1),
        (lambda x: x.astype(np.int32) << 16, 0),
        (lambda x: (x // 256 + 128).astype(np.uint8), 256),
        (lambda x: np.stack([x - 100, x + 100], axis=1), 0),  # two channels
    ],
)
def test_formats(folder, convert, tolerance):
    wavfile.write(folder / "audio" / "0.wav", RATE, convert(sound(0)))
    found = data.load(folder).column("fold1", "waveform")[0]
    assert np.abs(found.astype(int) - sound(0)).max() <= tolerance


def test_views_of_both_are_a_function_of_seed_and_step(folder):
    source = data.load(folder)
    view = augment.view_from({"modality": "waveform", "length": 1000, "gain": 6.0}, size=16)
    recipes = (augment.recipe_from({"size": 16, "crop": {}}), view)

    def take(count, start=0):
        made = data.batches(
            source, "fold1+fold2", global_batch=4, seed=0, recipes=recipes, start_step=start
        )
        return [*itertools.islice(made, count)]

    batches = take(5)
    starts, gains = set(), []
    for batch in batches:
        image, wave = batch["views"]
        assert image.shape == (4, 16, 16, 3)
        assert wave.shape == (4, 1000, 1) and wave.dtype == np.float32
        column = source.column("fold1+fold2", "waveform")
        for index, one in zip(batch["index"], wave[..., 0], strict=True):
            whole = column[index] / 32768
            # Where it is from, whatever its gain: the stretch of the highest correlation.
            stretches = np.lib.stride_tricks.sliding_window_view(whole, 1000)
            dots = stretches @ one / np.maximum(np.linalg.norm(stretches, axis=1), 1e-9)
            start = int(dots.argmax())
            assert dots[start] == pytest.approx(np.linalg.norm(one), rel=1e-4)
            starts.add(start)
            gains.append(20 * np.log10(np.linalg.norm(one) / np.linalg.norm(stretches[start])))
    assert len(starts) > 5 and np.ptp(gains) > 4 and np.abs(gains).max() <= 6.01
    np.testing.assert_array_equal(take(1, start=3)[0]["views"][1], batches[3]["views"][1])


@pytest.mark.parametrize(
    ("spoil", "answer"),
    [
        (lambda f: write(f, [("0.wav", 0)], "filename,target"), "has no column 'fold': it needs"),
        (
            lambda f: (f / "audio" / "2.wav").unlink(),
            "2.wav cannot be read as .wav: .*No such file",
        ),
        (lambda f: (f / "audio" / "2.wav").write_text("no"), "2.wav cannot be read as .wav"),
        (
            lambda f: wavfile.write(f / "audio" / "2.wav", 4000, sound(2)),
            r"2 rates, \[4000, 8000\]: give one",
        ),
        (lambda f: (f / "meta" / "esc50.csv").unlink(), "esc50.csv cannot be read: No such file"),
    ],
)
def test_what_is_wrong_is_told(folder, spoil, answer):
    spoil(folder)
    with pytest.raises(DataError, match=answer):
        data.load(folder).labels("fold1")


def test_a_view_longer_than_the_sounds_is_refused(folder):
    view = augment.Waveform(length=LENGTH + 1)
    with pytest.raises(UsageError, match="length=4097 is longer than the sounds of 4096"):
        view.draw(data.load(folder).column("fold1", "waveform"), np.zeros((5, 2), np.uint32))
    with pytest.raises(UsageError, match="waveform: there is no field 'size'; there are: length"):
        augment.view_from({"modality": "waveform", "size": 3}, size=8)
