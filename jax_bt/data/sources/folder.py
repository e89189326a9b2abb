"""A folder of images: with or without classes, nested, of any sizes and formats."""

import os
import pathlib
from concurrent import futures

import numpy as np

from jax_bt.data.damaged import Quarantine, undecodable
from jax_bt.data.options import worker_count
from jax_bt.data.sources.base import Source
from jax_bt.data.sources.tfds_files import prepared_inside
from jax_bt.errors import DataError

SUFFIXES = frozenset((".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif"))
# A folder whose top level holds nothing but these is a data set with several splits.
SPLIT_NAMES = frozenset(
    ("train", "val", "valid", "validation", "test", "unlabeled", "unlabelled", "extra")
)
# Up to so many files are decoded once when a folder is opened (about 3 s for photographs on two
# cores), so that the size of the data set is that of its readable images.
CHECKED_FILES = 2000


class FolderRecords:
    """Image files, and the class of each where sub-folders are classes."""

    payload = "path"

    def __init__(self, root: pathlib.Path, paths: np.ndarray, targets: np.ndarray | None):
        self.root, self.paths, self.targets = root, paths, targets
        self.size = len(paths)

    def fetch(self, index: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
        return self.paths[index], None if self.targets is None else self.targets[index]

    def labels(self) -> np.ndarray | None:
        return self.targets

    def describe(self, index: int) -> str:
        return os.fsdecode(self.paths[index])


def load_folder(root: pathlib.Path) -> Source:
    """A data set from a folder of images.

    If every sub-folder of the top level is named like a split (train, val, test, unlabelled, ...)
    and no image lies beside them, they are the splits; otherwise there is one split, train. Within
    a split, if every image lies in a sub-folder and there are at least two of them, the first-level
    sub-folders are the classes, in alphabetical order; otherwise the images are unlabelled.
    Hidden files and folders and files without an image's suffix are passed over.

    Raises:
      DataError: no images.
    """
    folders = sorted(p for p in root.iterdir() if p.is_dir() and not p.name.startswith("."))
    splits = {"train": root}
    if folders and all(p.name in SPLIT_NAMES for p in folders) and not _images(root, deep=False):
        splits = {p.name: p for p in folders}
    files = {name: found for name, p in splits.items() if (found := _images(p))}
    if not files:
        raise DataError(f"no images in {root}: {_instead(root)}")
    classes = {name: _classes(splits[name], found) for name, found in files.items()}
    class_names = sorted({c for found in classes.values() if found for c in found})

    records = {}
    for name, found in files.items():
        targets = None
        if classes[name]:
            targets = np.array([class_names.index(c) for c in classes[name]], np.int32)
        records[name] = _readable(splits[name], found, targets)
    return Source(
        str(root),
        {name: r.size for name, r in records.items()},
        records.__getitem__,
        num_classes=len(class_names) or None,
        class_names=tuple(class_names) or None,
    )


def _instead(root: pathlib.Path) -> str:
    """What to do about a folder without images."""
    if found := prepared_inside(root):
        return f"it holds data sets prepared by TFDS; give the folder of one, as {found[0]}"
    suffixes = ", ".join(sorted(SUFFIXES))
    return f"expected files ending in {suffixes}, in it or in folders inside it"


def _images(root: pathlib.Path, deep: bool = True) -> list[str]:
    """Paths of the image files below a folder, sorted; links are followed, each folder once."""
    found, seen, waiting = [], set(), [os.fspath(root)]
    while waiting:
        folder = waiting.pop()
        if (real := os.path.realpath(folder)) in seen:
            continue
        seen.add(real)
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.name.startswith("."):
                    continue
                if entry.is_dir():
                    if deep:
                        waiting.append(entry.path)
                elif os.path.splitext(entry.name)[1].lower() in SUFFIXES:
                    found.append(entry.path)
    return sorted(found)


def _classes(root: pathlib.Path, files: list[str]) -> list[str] | None:
    """The first-level sub-folder of every file, None if those are no classes."""
    start = len(os.fspath(root)) + 1
    parts = [f[start:].split(os.sep) for f in files]
    if any(len(p) == 1 for p in parts) or len({p[0] for p in parts}) < 2:
        return None
    return [p[0] for p in parts]


def _readable(root: pathlib.Path, files: list[str], targets: np.ndarray | None) -> FolderRecords:
    """The records of a folder; those of a small one without its undecodable files."""
    records = FolderRecords(root, np.array([os.fsencode(f) for f in files], object), targets)
    if records.size > CHECKED_FILES:
        return records
    with futures.ThreadPoolExecutor(worker_count()) as pool:
        reasons = list(pool.map(lambda f: undecodable(f, "path"), records.paths))
    quarantine = Quarantine(records)
    quarantine.add([(i, reason) for i, reason in enumerate(reasons) if reason])
    if len(quarantine) == records.size:
        raise DataError(f"none of the {records.size} images in {root} can be decoded")
    keep = np.array([reason is None for reason in reasons])
    return FolderRecords(root, records.paths[keep], None if targets is None else targets[keep])
