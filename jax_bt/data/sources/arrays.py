"""Opens images that are arrays: in memory, in an ``.npz`` file, or embedded in scikit-learn."""

import re
import zipfile
import zlib
from collections.abc import Callable, Mapping, Sequence
from importlib import metadata
from typing import Any

import numpy as np

from jax_bt.data.sources import files
from jax_bt.data.sources.base import Source
from jax_bt.data.sources.records import UNLABELLED, ArrayRecords
from jax_bt.errors import DataError

DIGITS_TEST_PER_CLASS = 50
# Names of images in .npz files, alone or with that of the split before or after, and the name of
# the labels that belong to them.
_IMAGES = re.compile(r"(?:(?P<before>.+)_)?(?P<what>images?|x|data)(?:_(?P<after>.+))?", re.I)
_LABELS = {"images": "labels", "image": "label", "x": "y", "data": "labels"}


def from_arrays(
    arrays: Mapping[str, np.ndarray | tuple[np.ndarray, np.ndarray | None]],
    *,
    name: str = "arrays",
    class_names: Sequence[str] | None = None,
    mix_slices: bool = True,
    columns: Mapping[str, Mapping[str, np.ndarray]] | None = None,
) -> Source:
    """A data set from arrays in memory.

    Args:
      arrays: per split the images, or a pair (images, labels). Images are (N, H, W, C) or
        (N, H, W), of any number of channels, uint8, uint16 (scaled by 65535) or floats in [0, 1];
        labels are (N,) integers, -1 where unknown. The labels that occur are the classes.
      name: of the data set, for messages.
      class_names: by label.
      mix_slices: whether slices such as ``train[:50%]`` are taken from a fixed random order, so
        that those of arrays sorted by class hold all classes.
      columns: further arrays by name and split, (N, ...) of the split's N images, such as
        {"captions": {"train": texts}}. Texts are (N,) or (N, captions), "" for none.

    Returns:
      A Source with one split per entry.

    Raises:
      DataError: a shape, dtype or range that is none of the above, too few class names, or a
        column of another length than its images, or that a split lacks.
    """
    images, labels = {}, {}
    for split, value in arrays.items():
        pixels, targets = value if isinstance(value, tuple) else (value, None)
        where = f"{name}, split {split!r}"
        images[split] = _checked_images(_array(pixels, where), where)
        if targets is not None:
            labels[split] = _checked_labels(np.asarray(targets), len(images[split]), where)
    if not images:
        raise DataError(f"{name} holds no split: give at least one, such as 'train'")
    # One channel is repeated three times, and may stand beside colours.
    channels = {3 if x.shape[-1] == 1 else x.shape[-1] for x in images.values()}
    if len(channels) > 1:
        raise DataError(
            f"the splits of {name} have images of {' and '.join(map(str, sorted(channels)))} "
            "channels: give all of them the same number"
        )
    labels, class_names = _classes(labels, class_names, name)
    records = {
        split: ArrayRecords(x, labels.get(split), f"{name}, split {split!r}", mix_slices=mix_slices)
        for split, x in images.items()
    }
    highest = max((int(y.max()) for y in labels.values()), default=UNLABELLED)
    return Source(
        name,
        {split: r.size for split, r in records.items()},
        records.__getitem__,
        num_classes=len(class_names or range(highest + 1)) if highest >= 0 else None,
        class_names=class_names,
        channels=channels.pop(),
        unlabelled=images.keys() - labels.keys(),
        columns=_columns(columns or {}, {s: len(x) for s, x in images.items()}, name),
    )


def _columns(
    columns: Mapping[str, Mapping[str, np.ndarray]], sizes: Mapping[str, int], name: str
) -> dict[str, Callable[[str], np.ndarray]]:
    """What gives each column of a split; texts always with an axis of captions."""
    found: dict[str, Callable[[str], np.ndarray]] = {}
    for column, arrays in columns.items():
        own = {}
        for split, size in sizes.items():
            array = np.asarray(arrays.get(split, ()))
            if len(array) != size:
                raise DataError(
                    f"{column} of {name}, split {split!r}: {len(array)} for {size} images; give "
                    "one entry per image"
                )
            own[split] = array[:, None] if array.dtype.kind in "UO" and array.ndim == 1 else array
        found[column] = own.__getitem__
    return found


def _array(images: Any, where: str) -> np.ndarray:
    try:
        return np.asarray(images)
    except ValueError as error:  # a list of arrays of several shapes
        raise DataError(
            f"images of {where} must be one array: {error}; images of several sizes can be given "
            "as a folder of files"
        ) from None


def _checked_images(images: np.ndarray, where: str) -> np.ndarray:
    if images.ndim == 3:
        images = images[..., None]
    if images.ndim != 4 or 0 in images.shape:
        raise DataError(
            f"images of {where} must have shape (N, H, W) or (N, H, W, channels) and not be "
            f"empty: got {images.shape}"
        )
    _, height, width, channels = images.shape
    if height < channels and (width == channels or (height in (1, 3) and channels > 4)):
        raise DataError(
            f"images of {where} must have shape (N, H, W, channels), and {images.shape} looks like "
            "(N, channels, H, W): transpose them with images.transpose(0, 2, 3, 1)"
        )
    if np.issubdtype(images.dtype, np.floating):
        images = images.astype(np.float32, copy=False)
        low, high = images.min(), images.max()
        if not (low >= 0 and high <= 1):  # also false for NaN
            remedy = "divide by 255 or store uint8"
            if np.isnan(low):
                remedy = "some values are NaN"
            elif low < 0:
                remedy = "standardised, or in [-1, 1]? map them to [0, 1], in the latter case by "
                remedy += "(x + 1) / 2; recipes subtract mean and std"
            raise DataError(
                f"float images of {where} must lie in [0, 1]: got {low:g} to {high:g}; {remedy}"
            )
    elif images.dtype not in (np.uint8, np.uint16):
        raise DataError(
            f"images of {where} must be uint8, uint16 or floats in [0, 1]: got {images.dtype}; "
            "if all values are in 0 to 255, images.astype(np.uint8) will do"
        )
    return images


def _checked_labels(labels: np.ndarray, size: int, where: str) -> np.ndarray:
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]  # as Keras has them
    if labels.shape != (size,) or not np.issubdtype(labels.dtype, np.integer):
        raise DataError(
            f"labels of {where} must be {size} integers, one per image: got shape "
            f"{labels.shape}, dtype {labels.dtype}"
        )
    if labels.min() < UNLABELLED:
        raise DataError(
            f"labels of {where} must not be negative, except -1 for images without one: got "
            f"{labels.min()}"
        )
    return labels.astype(np.int64)


def _classes(
    labels: dict[str, np.ndarray], class_names: Sequence[str] | None, name: str
) -> tuple[dict[str, np.ndarray], tuple[str, ...] | None]:
    """int32 labels without gaps, and the names of the classes where known."""
    found = np.unique(np.concatenate([*labels.values(), np.array([UNLABELLED])]))
    found = found[found != UNLABELLED]
    if class_names is not None:
        class_names = tuple(str(c) for c in class_names)
        if found.size and found[-1] >= len(class_names):
            raise DataError(
                f"{name} has {len(class_names)} class names, but a label {found[-1]}: give one "
                f"name for each of the labels 0 to {found[-1]}"
            )
    elif found.size and found[-1] != found.size - 1:
        class_names = tuple(str(label) for label in found)
        labels = {
            split: np.where(y == UNLABELLED, UNLABELLED, np.searchsorted(found, y))
            for split, y in labels.items()
        }
    return {split: y.astype(np.int32) for split, y in labels.items()}, class_names


def load_npz(path: str) -> Source:
    """A data set from an ``.npz`` file, local or remote.

    The file holds ``train_images`` and, where known, ``train_labels`` (and so on for every other
    split), or just ``images`` and ``labels`` for one split named train; ``class_names`` and
    captions (``train_captions``, or ``captions``) may be added. ``x`` and ``y`` are understood as
    well, and the split may come last: ``x_train``.

    Raises:
      DataError: unreadable, or without images.
    """
    with files.opened(path) as content:
        if not zipfile.is_zipfile(content):  # NumPy would speak of pickles
            raise DataError(f"{path} cannot be read as .npz: it is no zip file, or cut short")
        content.seek(0)
        try:
            with np.load(content, allow_pickle=False) as file:
                stored = {key: file[key] for key in file.files}
        except (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error) as error:
            raise DataError(f"{path} cannot be read as .npz: {error}") from None
    by_lower = {key.lower(): key for key in stored}
    arrays, captions = {}, {}
    for key, images in stored.items():
        match = _IMAGES.fullmatch(key)
        if match is None:
            continue
        before, what, after = match.group("before", "what", "after")
        words = (before, _LABELS[what.lower()], after)
        label_key = by_lower.get("_".join(filter(None, words)).lower())
        labels = None if label_key is None else stored[label_key]
        split = "_".join(filter(None, (before, after))).lower() or "train"
        arrays[split] = (images, labels)
        own = by_lower.get("_".join(filter(None, (before, "captions", after))).lower())
        if own is not None:
            captions[split] = stored[own]
    if not arrays:
        raise DataError(
            f"{path} holds no images: expected 'images', 'x', '<split>_images' or 'x_<split>', "
            f"found {', '.join(stored) or 'nothing'}"
        )
    names = stored.get(by_lower.get("class_names", ""))
    return from_arrays(
        arrays,
        name=path,
        class_names=None if names is None else list(names),
        columns={"captions": captions} if captions else None,
    )


def stored_digits() -> tuple[np.ndarray, np.ndarray]:
    """scikit-learn's digits from its file, int64: (1797, 8, 8) from 0 to 16, and their labels.

    Importing scikit-learn for them would take half a second of every start.
    """
    installed = metadata.distribution("scikit-learn")
    path = str(installed.locate_file("sklearn/datasets/data/digits.csv.gz"))
    table = np.loadtxt(path, delimiter=",", dtype=np.int64)
    return table[:, :-1].reshape(-1, 8, 8), table[:, -1]


def load_digits() -> Source:
    """scikit-learn's 1,797 handwritten 8x8 digits as uint8, 1,297 for training and 500 for test.

    The grey levels 0 to 16 are scaled to 0 to 255. Of every class the 50 examples with the
    smallest keyed random words are the test split (in their original order), so the test split is
    balanced and the same for everyone.

    Reference: Alpaydin and Kaynak, Optical Recognition of Handwritten Digits, UCI, 1998.
    """
    images, labels = stored_digits()
    images = np.round(images * (255 / 16)).astype(np.uint8)
    words = np.random.Philox(key=[0, 0]).random_raw(len(images))
    test = np.zeros(len(images), bool)
    for label in range(10):
        members = np.flatnonzero(labels == label)
        test[members[np.argsort(words[members])[:DIGITS_TEST_PER_CLASS]]] = True
    return from_arrays(
        {"train": (images[~test], labels[~test]), "test": (images[test], labels[test])},
        name="digits",
        class_names=[str(i) for i in range(10)],
        mix_slices=False,  # they come mixed
    )
