"""Opens a folder of images, with or without classes, nested, of any sizes and formats."""

import collections
import hashlib
import os
from concurrent import futures

import numpy as np

from jax_bt.data.damaged import Quarantine, undecodable
from jax_bt.data.options import worker_count
from jax_bt.data.sources import files
from jax_bt.data.sources.base import Source
from jax_bt.data.sources.tfds_files import prepared_inside
from jax_bt.errors import DataError

SUFFIXES = frozenset(
    (".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".bmp", ".dib", ".gif", ".tif", ".tiff")
) | frozenset((".ppm", ".pgm", ".pbm", ".pnm", ".avif", ".jp2"))
# How the files of these formats begin, for files without a suffix.
MAGIC = (b"\xff\xd8\xff", b"\x89PNG", b"GIF8", b"BM", b"RIFF", b"II*\x00", b"MM\x00*", b"P5", b"P6")
SPLIT_NAMES = frozenset(
    ("train", "val", "valid", "validation", "test", "unlabeled", "unlabelled", "extra")
)
# Folders of at most this many files are decoded once when they are opened (about 3 s for
# photographs on two cores), so that the size of the data set counts readable images.
CHECKED_FILES = 2000


class FolderRecords:
    """Image files, and the class of each where sub-folders are classes.

    Args:
      root: the folder.
      names: paths of the files relative to it.
      targets: (n,) int32 labels, or None.
    """

    payload = "path"

    def __init__(self, root: str, names: list[str], targets: np.ndarray | None):
        self.root, self.names, self.targets = root, names, targets
        self.size = len(names)

    def fetch(self, index: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
        paths = np.empty(len(index), object)
        paths[:] = [os.fsencode(f"{self.root}/{self.names[i]}") for i in index]
        return paths, None if self.targets is None else self.targets[index]

    def labels(self) -> np.ndarray | None:
        return self.targets

    def describe(self, index: int) -> str:
        return files.readable(f"{self.root}/{self.names[index]}")

    def slice_order(self) -> np.ndarray:
        """By a hash of each name: files that are added leave the order of the others."""
        hashes = [hashlib.blake2b(os.fsencode(n), digest_size=8).digest() for n in self.names]
        return np.argsort(np.array(hashes, "S8"), kind="stable")

    def identity(self) -> bytes:
        return b"\0".join(os.fsencode(name) for name in self.names)


def load_folder(root: str) -> Source:
    """A data set from a folder of images, local or remote.

    A folder that only wraps another one is entered. If one of the folders at the top is called
    train, or all of them are named like splits (train, val, test, unlabelled, ..., in upper or
    lower case), they are the splits; otherwise there is one split, train. Within a split, if every
    image lies in a sub-folder and there are at least two of them, or they are classes of another
    split, the first-level sub-folders are the classes, in alphabetical order; otherwise the images
    are unlabelled. Only folders that hold images count. `Source.describe` tells what is passed
    over.

    Raises:
      DataError: no images, or none that can be decoded.
    """
    found, passed = _images(root)
    if not found:
        raise DataError(f"no images in {root}: {_instead(root, passed)}")
    inside = root
    while len(tops := _by_top(found)) == 1 and (top := next(iter(tops))):
        if top.lower() in SPLIT_NAMES:
            break
        inside, found = f"{inside}/{top}", [name[len(top) + 1 :] for name in found]
    splits, beside = _splits(inside, tops)
    folders = {split: _folders(prefix, names) for split, (prefix, names) in splits.items()}
    several = [set(found) for found in folders.values() if len(set(found)) > 1]
    class_names = sorted(set().union(*several))
    numbers = {c: number for number, c in enumerate(class_names)}

    records, unlabelled = {}, []
    for split, (_, names) in splits.items():
        targets = None
        if numbers.keys() >= set(folders[split]) and folders[split]:
            targets = np.array([numbers[c] for c in folders[split]], np.int32)
        else:
            unlabelled.append(split)
        records[split] = _decodable(FolderRecords(inside, names, targets))
    return Source(
        root,
        {split: r.size for split, r in records.items()},
        records.__getitem__,
        num_classes=len(class_names) or None,
        class_names=tuple(files.readable(c) for c in class_names) or None,
        unlabelled=unlabelled,
        notes=[note for note in (passed, beside) if note],
    )


def _images(root: str) -> tuple[list[str], str]:
    """Images below a folder, by suffix or beginning, and the line about other files, or ''."""
    found, others = [], collections.Counter()
    for name in files.below(root):
        suffix = os.path.splitext(name)[1].lower()
        if suffix in SUFFIXES or not suffix and _begins_like_an_image(f"{root}/{name}"):
            found.append(name)
        else:
            others[files.readable(suffix) or "without suffix"] += 1
    if not others:
        return found, ""
    count, kinds = others.total(), (f"{n} {suffix}" for suffix, n in others.most_common(5))
    more = ", ..." if len(others) > 5 else ""
    return found, f"{count} {_files(count)} passed over: {', '.join(kinds)}{more}"


def _begins_like_an_image(path: str) -> bool:
    return files.head(path, 8).startswith(MAGIC)


def _files(count: int) -> str:
    return "file" if count == 1 else "files"


def _instead(root: str, passed: str) -> str:
    """What to do about a folder without images."""
    if not files.is_remote(root) and (prepared := prepared_inside(root)):
        name, data_dir = prepared[0].parent.name, prepared[0].parent.parent
        return (
            f"it holds data sets prepared by TFDS; give the folder of one, as {prepared[0]}, or "
            f"--config.data.name={name} --config.data.data_dir={data_dir}"
        )
    suffixes = ", ".join(sorted(SUFFIXES))
    more = f" ({passed}; convert them if they are images)" if passed else ""
    return f"expected files ending in {suffixes}, in it or in folders inside it{more}"


def _by_top(found: list[str]) -> dict[str, list[str]]:
    """The images by their first-level folder, '' for those in none."""
    tops = collections.defaultdict(list)
    for name in found:
        top, slash, _ = name.partition("/")
        tops[top if slash else ""].append(name)
    return tops


def _splits(root: str, tops: dict[str, list[str]]) -> tuple[dict[str, tuple[str, list[str]]], str]:
    """Per split (beginning of its names, names), and a line about images beside splits, or ''."""
    named = [top for top in tops if top.lower() in SPLIT_NAMES]
    if not named or ("train" not in map(str.lower, named) and len(named) < len(tops)):
        return {"train": ("", [name for names in tops.values() for name in names])}, ""
    splits: dict[str, tuple[str, list[str]]] = {}
    for top in sorted(named, key=str.lower):
        if top.lower() in splits:
            raise DataError(
                f"{root} has two folders for the split {top.lower()}, which differ in case: "
                "rename or join them"
            )
        splits[top.lower()] = (f"{top}/", tops[top])
    others = sorted(tops.keys() - set(named))
    count = sum(len(tops[top]) for top in others)
    where = ", ".join(files.readable(top) or "no folder" for top in others)
    return splits, f"{count} images beside the splits passed over, in: {where}" if others else ""


def _folders(prefix: str, names: list[str]) -> list[str]:
    """The first-level folder of every file of a split, nothing if a file is in none."""
    parts = [name[len(prefix) :].partition("/") for name in names]
    return [top for top, _, _ in parts] if all(slash for _, slash, _ in parts) else []


def _decodable(records: FolderRecords) -> FolderRecords:
    """The records of a folder; of a small one without the files that cannot be decoded."""
    if records.size > CHECKED_FILES:
        return records
    paths, _ = records.fetch(np.arange(records.size))
    with futures.ThreadPoolExecutor(worker_count()) as pool:
        reasons = list(pool.map(lambda path: undecodable(path, "path"), paths))
    damaged = [(i, why) for i, why in enumerate(reasons) if why]
    if len(damaged) == records.size:
        raise DataError(
            f"none of the {records.size} images in {records.root} can be decoded, the first "
            f"because: {damaged[0][1]}"
        )
    Quarantine(records).add(damaged)
    keep = [i for i, why in enumerate(reasons) if why is None]
    targets = None if records.targets is None else records.targets[keep]
    return FolderRecords(records.root, [records.names[i] for i in keep], targets)
