"""Images that are already arrays: in memory, in an ``.npz`` file, or embedded in scikit-learn."""

import pathlib
import zipfile
import zlib
from collections.abc import Mapping, Sequence

import numpy as np

from jax_bt.data.sources.base import ArrayRecords, Source
from jax_bt.errors import DataError

DIGITS_TEST_PER_CLASS = 50


def from_arrays(
    arrays: Mapping[str, np.ndarray | tuple[np.ndarray, np.ndarray | None]],
    *,
    name: str = "arrays",
    class_names: Sequence[str] | None = None,
) -> Source:
    """A data set from arrays in memory.

    Args:
      arrays: per split the images, or a pair (images, labels). Images are (N, H, W, 3),
        (N, H, W, 1) or (N, H, W), uint8 or floats in [0, 1]; labels (N,) integers >= 0.
      name: of the data set, for messages.
      class_names: by label.

    Returns:
      A Source with one split per entry.

    Raises:
      DataError: a shape, dtype or range that is none of the above.
    """
    records, highest = {}, -1
    for split, value in arrays.items():
        images, labels = value if isinstance(value, tuple) else (value, None)
        where = f"{name}, split {split!r}"
        images = _checked_images(np.asarray(images), where)
        if labels is not None:
            labels = np.asarray(labels)
            if labels.shape != (len(images),) or not np.issubdtype(labels.dtype, np.integer):
                raise DataError(
                    f"labels of {where} must be {len(images)} integers, one per image: got shape "
                    f"{labels.shape}, dtype {labels.dtype}"
                )
            if labels.min() < 0:
                raise DataError(f"labels of {where} must not be negative: got {labels.min()}")
            labels = labels.astype(np.int32)
            highest = max(highest, int(labels.max()))
        records[split] = ArrayRecords(images, labels, where)
    if not records:
        raise DataError(f"{name} holds no split: give at least one, such as 'train'")
    shapes = {(*r.images.shape[1:3], 3) for r in records.values()}
    num_classes = max(highest + 1, len(class_names or ())) if highest >= 0 else None
    return Source(
        name,
        {split: r.size for split, r in records.items()},
        records.__getitem__,
        num_classes=num_classes,
        class_names=None if class_names is None else tuple(str(c) for c in class_names),
        image_shape=shapes.pop() if len(shapes) == 1 else None,
    )


def _checked_images(images: np.ndarray, where: str) -> np.ndarray:
    if images.ndim == 3:
        images = images[..., None]
    if images.ndim != 4 or images.shape[-1] not in (1, 3) or 0 in images.shape:
        raise DataError(
            f"images of {where} must have shape (N, H, W), (N, H, W, 1) or (N, H, W, 3) and not "
            f"be empty: got {images.shape}"
        )
    if np.issubdtype(images.dtype, np.floating):
        images = images.astype(np.float32, copy=False)
        if not (images.min() >= 0 and images.max() <= 1):  # also false for NaN
            raise DataError(
                f"float images of {where} must lie in [0, 1]: got {images.min():g} to "
                f"{images.max():g}; divide by 255 or store uint8"
            )
    elif images.dtype != np.uint8:
        raise DataError(f"images of {where} must be uint8 or floats: got {images.dtype}")
    return images


def load_npz(path: pathlib.Path) -> Source:
    """A data set from an ``.npz`` file.

    The file holds ``train_images`` and, where known, ``train_labels`` (and so on for every other
    split), or just ``images`` and ``labels`` for one split named train; ``class_names`` may be
    added. Keras' ``x_train``, ``y_train`` are understood as well.

    Raises:
      DataError: unreadable, or without images.
    """
    if not zipfile.is_zipfile(path):  # NumPy would speak of pickles
        raise DataError(f"{path} cannot be read as .npz: it is no zip file, or cut short")
    try:
        with np.load(path, allow_pickle=False) as file:
            stored = {key: file[key] for key in file.files}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise DataError(f"{path} cannot be read as .npz: {error}") from None
    arrays = {}
    for key, images in stored.items():
        if key == "images":
            split, label_key = "train", "labels"
        elif key.endswith("_images"):
            split = key.removesuffix("_images")
            label_key = f"{split}_labels"
        elif key.startswith("x_"):
            split = key.removeprefix("x_")
            label_key = f"y_{split}"
        else:
            continue
        labels = stored.get(label_key)
        if labels is not None and labels.ndim == 2 and labels.shape[1] == 1:
            labels = labels[:, 0]  # as Keras has them
        arrays[split] = (images, labels)
    if not arrays:
        raise DataError(
            f"{path} holds no images: expected 'images' or '<split>_images', found "
            f"{', '.join(stored) or 'nothing'}"
        )
    names = stored.get("class_names")
    return from_arrays(arrays, name=str(path), class_names=None if names is None else list(names))


def load_digits() -> Source:
    """scikit-learn's 1,797 handwritten 8x8 digits as uint8, 1,297 for training and 500 for test.

    The grey levels 0 to 16 are scaled to 0 to 255. Of every class the 50 examples with the
    smallest keyed random words are the test split (in their original order), so the test split is
    balanced and the same for everyone.

    Reference: Alpaydin and Kaynak, Optical Recognition of Handwritten Digits, UCI, 1998.
    """
    from sklearn import datasets  # 1 s to import: only for who asks for it

    images, labels = datasets.load_digits(return_X_y=True)
    images = np.round(images.reshape(-1, 8, 8) * (255 / 16)).astype(np.uint8)
    words = np.random.Philox(key=[0, 0]).random_raw(len(images))
    test = np.zeros(len(images), bool)
    for label in range(10):
        members = np.flatnonzero(labels == label)
        test[members[np.argsort(words[members])[:DIGITS_TEST_PER_CLASS]]] = True
    return from_arrays(
        {"train": (images[~test], labels[~test]), "test": (images[test], labels[test])},
        name="digits",
        class_names=[str(i) for i in range(10)],
    )
