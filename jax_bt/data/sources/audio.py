"""Opens sounds in ESC-50's layout: .wav files, and a table of their folds and classes."""

import csv
import functools
import io

import numpy as np

from jax_bt.data.sources import files
from jax_bt.data.sources.base import Source
from jax_bt.data.sources.records import ArrayRecords
from jax_bt.data.spectrogram import log_mel
from jax_bt.errors import DataError

TABLE, SOUNDS = "meta/esc50.csv", "audio"
NEEDED = ("filename", "fold", "target")


def is_audio(path: str) -> bool:
    """Whether a folder has ESC-50's layout."""
    return files.is_folder(f"{path}/meta") and files.is_folder(f"{path}/{SOUNDS}")


def load_audio(path: str) -> Source:
    """A data set of sounds: their log-mel spectrograms as images, and their waveforms beside them.

    The splits are the folds of the table: "fold1", ... Images are (64, frames, 1) of 16 bits,
    ``data.spectrogram.log_mel`` of the sounds; the column "waveform" holds (N, T) int16 samples, of
    several channels the mean. A sound that is shorter than the longest is followed by silence.

    Args:
      path: a local folder with ``audio/*.wav`` and ``meta/esc50.csv``, of which the columns
        filename, fold, target and, if it is there, category count.

    Raises:
      DataError: no such table, a column or a sound that is missing, or rates that differ.
    """
    table = f"{path}/{TABLE}"
    try:
        rows = _rows(table)
    except OSError as error:
        raise DataError(f"{table} cannot be read: {error.strerror}") from error
    folds = sorted({row["fold"] for row in rows})
    by_fold = {f"fold{fold}": [r for r in rows if r["fold"] == fold] for fold in folds}
    names = {int(row["target"]): row.get("category", row["target"]) for row in rows}
    classes = max(names) + 1

    @functools.cache
    def all_sounds() -> tuple[int, dict[str, np.ndarray]]:
        found = {split: [_sound(f"{path}/{SOUNDS}/{r['filename']}") for r in members]
                 for split, members in by_fold.items()}  # fmt: skip
        rates = {rate for sounds in found.values() for rate, _ in sounds}
        if len(rates) > 1:
            raise DataError(f"sounds of {path} have {len(rates)} rates, {sorted(rates)}: give one")
        longest = max(len(sound) for sounds in found.values() for _, sound in sounds)
        padded = {split: np.stack([np.pad(x, (0, longest - len(x))) for _, x in sounds])
                  for split, sounds in found.items()}  # fmt: skip
        return rates.pop(), padded

    def open_split(split: str) -> ArrayRecords:
        rate, sounds = all_sounds()
        images = np.round(log_mel(sounds[split], rate) * 65535).astype(np.uint16)
        targets = np.array([int(row["target"]) for row in by_fold[split]], np.int32)
        return ArrayRecords(images[..., None], targets, f"{path}, split {split!r}")

    return Source(
        path,
        {split: len(members) for split, members in by_fold.items()},
        open_split,
        num_classes=classes,
        class_names=tuple(names.get(i, str(i)) for i in range(classes)),
        columns={"waveform": lambda split: all_sounds()[1][split]},
    )


def _rows(table: str) -> list[dict[str, str]]:
    with files.opened(table) as content:
        rows = [*csv.DictReader(io.StringIO(content.read().decode()))]
    lacking = [name for name in NEEDED if not rows or name not in rows[0]]
    if lacking:
        raise DataError(f"{table} has no column {lacking[0]!r}: it needs {', '.join(NEEDED)}")
    return rows


def _sound(path: str) -> tuple[int, np.ndarray]:
    """Samples per second, and (T,) int16 samples."""
    from scipy.io import wavfile  # takes a while to import, which other data need not

    try:
        with files.opened(path) as content:
            rate, sound = wavfile.read(content)
    except (OSError, ValueError) as error:
        raise DataError(f"{path} cannot be read as .wav: {error}") from None
    if sound.dtype == np.uint8:
        sound = (sound.astype(np.int16) - 128) * 256
    elif sound.dtype == np.int32:
        sound = sound >> 16
    elif sound.dtype.kind == "f":
        sound = np.clip(np.round(sound * 32767), -32768, 32767)
    if sound.ndim == 2:
        sound = sound.mean(axis=1)
    return int(rate), sound.astype(np.int16)
