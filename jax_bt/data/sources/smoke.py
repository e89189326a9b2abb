"""Writes a tiny TFDS data set for smoke runs, in a second and without download."""

import os
import pathlib
import tempfile

import numpy as np
import tensorflow as tf
import tensorflow_datasets as tfds

from jax_bt.data import names
from jax_bt.data.sources.arrays import stored_digits
from jax_bt.data.sources.base import Source

VERSION = "1.1.0"
SIZES = {"train": 64, "test": 32}
NAMES = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
COLORS = ("red", "green", "blue")


def prepare(data_dir: str | os.PathLike | None = None) -> pathlib.Path:
    """Writes the data set unless it is there: digits as coloured JPEGs of mixed sizes, ten classes.

    Each has two captions, kept as MS-COCO's are.

    Args:
      data_dir: where TFDS data sets are prepared; None takes the system's temporary folder.

    Returns:
      The folder to pass on as TFDS' ``data_dir``.
    """
    own = pathlib.Path(tempfile.gettempdir()) / f"{names.SMOKE}_{os.getuid()}"
    root = own if data_dir is None else pathlib.Path(names.expand(data_dir))
    prepared = root / names.SMOKE / VERSION
    if prepared.exists():
        return root
    prepared.parent.mkdir(parents=True, exist_ok=True)
    # Elsewhere first, then moved: another process never sees half of it.
    tfds.disable_progress_bar()
    with tempfile.TemporaryDirectory(dir=root) as making:
        tfds.dataset_builders.store_as_tfds_dataset(
            name=names.SMOKE,
            version=VERSION,
            data_dir=making,
            split_datasets={split: _examples(split) for split in SIZES},
            features=tfds.features.FeaturesDict(
                {
                    "image": tfds.features.Image(shape=(None, None, 3), encoding_format="jpeg"),
                    "label": tfds.features.ClassLabel(num_classes=10),
                    "captions": tfds.features.Sequence({"text": tfds.features.Text()}),
                }
            ),
            disable_shuffling=True,
        )
        try:
            (pathlib.Path(making) / names.SMOKE / VERSION).rename(prepared)
        except OSError:  # another process was first
            if not prepared.exists():
                raise
    return root


def with_sounds(source: Source) -> Source:
    """The data set with a "waveform" of each image: a tone as high as its number, 512 samples."""

    def tones(captions: np.ndarray) -> np.ndarray:
        numbers = np.array([NAMES.index(row[0].split()[-1]) for row in captions])
        waves = np.sin(np.arange(512) * (0.1 + 0.05 * numbers[:, None]))
        return np.round(16_000 * waves).astype(np.int16)

    return source.with_column("waveform", "captions", tones, facts={}, kept={})


def _examples(split: str) -> tf.data.Dataset:
    images, labels = stored_digits()
    first = 0 if split == "train" else SIZES["train"]

    def generate():
        for i in range(first, first + SIZES[split]):
            random = np.random.default_rng(i)
            height, width = random.integers(36, 56, 2)
            grey = tf.image.resize(images[i][..., None] / 16, (height, width))
            color = random.uniform(0.4, 1.0, 3)
            image = tf.cast(tf.clip_by_value(grey * color, 0, 1) * 255, tf.uint8)
            number = NAMES[labels[i]]
            texts = [f"the number {number}", f"a {COLORS[int(color.argmax())]} {number}"]
            label = int(labels[i])
            yield {"image": image, "label": label, "captions": {"text": texts}}

    signature = {
        "image": tf.TensorSpec((None, None, 3), tf.uint8),
        "label": tf.TensorSpec((), tf.int64),
        "captions": {"text": tf.TensorSpec((None,), tf.string)},
    }
    return tf.data.Dataset.from_generator(generate, output_signature=signature)
