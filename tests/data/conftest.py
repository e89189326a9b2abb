"""Small data sets, made once: a folder of images and TFDS sets in both file formats."""

import pathlib

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

SIDE = 24


def picture(seed: int, height: int = SIDE, width: int = SIDE) -> np.ndarray:
    """A smooth (height, width, 3) uint8 image, of another colour for every seed."""
    small = np.random.default_rng(seed).integers(0, 256, (3, 3, 3), dtype=np.uint8)
    return np.array(Image.fromarray(small).resize((width, height), Image.Resampling.BILINEAR))


def prepare(folder: pathlib.Path, name: str, sizes: dict[str, int], shape, file_format: str):
    """Writes a TFDS data set of `picture`s, labelled 0, 1, 2, 0, ... in their order."""
    import tensorflow_datasets as tfds

    def generate(first, count):
        for i in range(first, first + count):
            height, width = (shape[0] or SIDE + i % 5), (shape[1] or SIDE + i % 7)
            yield {"image": picture(i, height, width), "label": i % 3}

    splits, first = {}, 0
    for split, count in sizes.items():
        signature = {
            "image": tf.TensorSpec(shape, tf.uint8),
            "label": tf.TensorSpec((), tf.int64),
        }
        splits[split] = tf.data.Dataset.from_generator(
            lambda f=first, c=count: generate(f, c), output_signature=signature
        )
        first += count
    tfds.disable_progress_bar()
    tfds.dataset_builders.store_as_tfds_dataset(
        name=name,
        version="1.0.0",
        data_dir=folder,
        split_datasets=splits,
        features=tfds.features.FeaturesDict(
            {
                "image": tfds.features.Image(shape=shape, encoding_format="png"),
                "label": tfds.features.ClassLabel(names=["cat", "dog", "eel"]),
            }
        ),
        file_format=file_format,
        disable_shuffling=True,
    )


@pytest.fixture(scope="session")
def tfds_dir(tmp_path_factory):
    """Prepared data sets: `fixed` and `varied` as TFRecord, the others as ArrayRecord."""
    folder = tmp_path_factory.mktemp("tfds")
    sizes = {"train": 30, "test": 12}
    prepare(folder, "fixed", sizes, (SIDE, SIDE, 3), "tfrecord")
    prepare(folder, "varied", sizes, (None, None, 3), "tfrecord")
    prepare(folder, "indexed", sizes, (None, None, 3), "array_record")
    prepare(folder, "indexed_fixed", sizes, (SIDE, SIDE, 3), "array_record")
    return folder


@pytest.fixture(scope="session")
def image_folder(tmp_path_factory):
    """Two classes, nested, of mixed sizes, formats and modes, and some files to pass over."""
    root = tmp_path_factory.mktemp("images")
    kinds = [("jpg", "RGB"), ("png", "L"), ("png", "P"), ("PNG", "RGBA"), ("webp", "RGB")]
    kinds += [("jpeg", "CMYK"), ("jpg", "L"), ("bmp", "RGB")]
    for i in range(16):
        folder = root / ("cats/säugetiere" if i % 2 else "dogs")
        folder.mkdir(parents=True, exist_ok=True)
        suffix, mode = kinds[i // 2]
        image = Image.fromarray(picture(i, 20 + i, 30 + 2 * i)).convert(mode)
        image.save(folder / f"{i:02d}.{suffix}")
    (root / "dogs" / "notes.txt").write_text("not an image")
    (root / "dogs" / "._00.jpg").write_bytes(b"left by another system")
    return root
