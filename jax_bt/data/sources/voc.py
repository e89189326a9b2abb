"""Opens the PASCAL VOC layout: images with several labels each, and splits as lists of names."""

import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Mapping, Sequence

import numpy as np

from jax_bt.data.sources import files
from jax_bt.data.sources.base import Source
from jax_bt.data.sources.folder import FolderRecords
from jax_bt.data.sources.records import ABSENT, DIFFICULT, PRESENT
from jax_bt.errors import DataError

IMAGES, LISTS, OBJECTS = "JPEGImages", "ImageSets/Main", "Annotations"
SPLITS = ("train", "val", "trainval", "test")
# The archives wrap the folder of a year in another.
INSIDE = ("", "/VOC2007", "/VOCdevkit/VOC2007")
# What the lists of a class write behind a name.
WRITTEN = {"1": PRESENT, "-1": ABSENT, "0": DIFFICULT}
_OF_CLASS = re.compile(rf"(?P<name>.+)_(?P<split>{'|'.join(SPLITS)})\.txt")


def root_of(path: str) -> str | None:
    """The folder below a path that holds JPEGImages and ImageSets/Main, or None."""
    for inside in INSIDE:
        root = f"{path}{inside}"
        if files.is_folder(f"{root}/{IMAGES}") and files.is_folder(f"{root}/{LISTS}"):
            return root
    return None


def load_voc(path: str, root: str) -> Source:
    """A data set in the layout of PASCAL VOC 2007.

    The splits are the lists ``ImageSets/Main/<split>.txt`` (train, val, trainval, test). The labels
    are those of ``<class>_<split>.txt`` (1 present, -1 absent, 0 difficult objects only) or, where
    a split has no such files, come from ``Annotations/<name>.xml`` by the same rule. Labels are
    (N, classes) int32: 1 present, 0 absent, -1 difficult objects only; classes in alphabetical
    order.

    Args:
      path: as the user wrote it.
      root: the folder of JPEGImages and ImageSets, local or remote.

    Raises:
      DataError: no list, a listed image or annotation is missing, or a file cannot be understood.
    """
    lists = set(files.below(f"{root}/{LISTS}"))
    images = set(files.below(f"{root}/{IMAGES}"))
    found = {split: _names(root, split) for split in SPLITS if f"{split}.txt" in lists}
    if not found:
        raise DataError(
            f"{root}/{LISTS} has no list of images: expected one of {', '.join(SPLITS)}, each .txt"
        )
    for split, names in found.items():
        missing = [name for name in names if f"{name}.jpg" not in images]
        if missing or not names:
            what = f"names {missing[0]}.jpg, which is not in {IMAGES}" if missing else "is empty"
            raise DataError(f"{root}/{LISTS}/{split}.txt {what}: unpack the archive again")
    matches = [match for name in lists if (match := _OF_CLASS.fullmatch(name))]
    listed = {split: sorted(m["name"] for m in matches if m["split"] == split) for split in found}
    tables = {
        split: _listed(root, split, names, listed[split])
        if listed[split]
        else _annotated(root, names)
        for split, names in found.items()
    }
    class_names = sorted(set().union(*tables.values()))
    records = {
        split: FolderRecords(
            root,
            [f"{IMAGES}/{name}.jpg" for name in names],
            np.stack([tables[split].get(c, _absent(names)) for c in class_names], axis=1),
        )
        for split, names in found.items()
    }
    return Source(
        path,
        {split: r.size for split, r in records.items()},
        records.__getitem__,
        num_classes=len(class_names),
        class_names=tuple(class_names),
        several=True,
    )


def _absent(names: Sequence[str]) -> np.ndarray:
    return np.full(len(names), ABSENT, np.int32)


def _lines(path: str) -> list[list[str]]:
    with files.opened(path) as file:
        text = file.read().decode("utf-8", errors="replace")
    return [line.split() for line in text.splitlines() if line.strip()]


def _names(root: str, split: str) -> list[str]:
    return [words[0] for words in _lines(f"{root}/{LISTS}/{split}.txt")]


def _listed(
    root: str, split: str, names: Sequence[str], classes: Sequence[str]
) -> dict[str, np.ndarray]:
    """(N,) labels by class, from the lists of each class."""
    place, table = {name: i for i, name in enumerate(names)}, {}
    for class_name in classes:
        path = f"{root}/{LISTS}/{class_name}_{split}.txt"
        written = {words[0]: words[-1] for words in _lines(path)}
        wrong = [name for name in written if name not in place or written[name] not in WRITTEN]
        missing = [name for name in names if name not in written]
        if wrong or missing:
            raise DataError(
                f"{path} cannot be understood at {(wrong or missing)[0]}: expected one line "
                f"'name label' for each image of {split}.txt, label 1, -1 or 0 (difficult)"
            )
        table[class_name] = np.array([WRITTEN[written[name]] for name in names], np.int32)
    return table


def _annotated(root: str, names: Sequence[str]) -> dict[str, np.ndarray]:
    """(N,) labels by class, from the objects that are marked in each image."""
    table: dict[str, np.ndarray] = {}
    for i, name in enumerate(names):
        for class_name, label in _objects(f"{root}/{OBJECTS}/{name}.xml").items():
            table.setdefault(class_name, _absent(names))[i] = label
    if not table:
        raise DataError(f"no object is marked in {root}/{OBJECTS}: labels are missing")
    return table


def _objects(path: str) -> Mapping[str, int]:
    """PRESENT or DIFFICULT for each class that an annotation names."""
    if not files.is_file(path):
        raise DataError(
            f"no labels: {path} does not exist, and {LISTS} has no lists of classes beside it"
        )
    try:
        with files.opened(path) as file:
            marked = ElementTree.parse(file).getroot().findall("object")
        pairs = [(o.findtext("name", "").strip(), o.findtext("difficult", "0")) for o in marked]
    except ElementTree.ParseError as error:
        raise DataError(f"{path} is no annotation that can be read: {error}") from error
    if not all(name for name, _ in pairs):
        raise DataError(f"{path} is no annotation that can be read: an object without a name")
    found = {name: DIFFICULT for name, _ in pairs}
    return found | {name: PRESENT for name, difficult in pairs if difficult.strip() != "1"}
