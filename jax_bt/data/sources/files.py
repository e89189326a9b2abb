"""Finds and reads local files and, through TensorFlow, remote ones (gs://, s3://)."""

import contextlib
import io
import os
from collections.abc import Iterator
from typing import BinaryIO

import tensorflow as tf

from jax_bt.errors import DataError

LEFT_BY_SYSTEMS = frozenset(("__macosx", "thumbs.db", "desktop.ini"))


def is_remote(path: str) -> bool:
    """Whether a path has a scheme, such as gs://bucket/folder."""
    return "://" in path


def is_folder(path: str) -> bool:
    return tf.io.gfile.isdir(path) if is_remote(path) else os.path.isdir(path)


def is_file(path: str) -> bool:
    if is_remote(path):
        return tf.io.gfile.exists(path) and not tf.io.gfile.isdir(path)
    return os.path.isfile(path)


def opened(path: str) -> BinaryIO:
    """A file opened for reading; a remote one is read into memory at once."""
    if not is_remote(path):
        return open(path, "rb")
    with tf.io.gfile.GFile(path, "rb") as file:
        return io.BytesIO(file.read())


def head(path: str, size: int) -> bytes:
    """The first bytes of a file."""
    with tf.io.gfile.GFile(path, "rb") if is_remote(path) else open(path, "rb") as file:
        return file.read(size)


def below(root: str) -> list[str]:
    """Paths of all files below a folder, relative to it and sorted.

    Links are followed, each folder once. Hidden files and folders and those that systems leave
    behind (__MACOSX) are not there.
    """
    start = len(root.rstrip("/")) + 1
    return sorted(path[start:] for path in _walk(root))


def _walk(root: str) -> Iterator[str]:
    seen, waiting = set(), [root]
    while waiting:
        folder = waiting.pop()
        if not is_remote(folder):
            if (real := os.path.realpath(folder)) in seen:
                continue
            seen.add(real)
        for path, is_dir in _entries(folder):
            name = path.rstrip("/").rpartition("/")[2]
            if name.startswith(".") or name.lower() in LEFT_BY_SYSTEMS:
                continue
            if is_dir:
                waiting.append(path)
            else:
                yield path


def _entries(folder: str) -> Iterator[tuple[str, bool]]:
    """(path, whether it is a folder) of what a folder holds."""
    if is_remote(folder):
        for name in tf.io.gfile.listdir(folder):
            path = f"{folder.rstrip('/')}/{name.rstrip('/')}"
            yield path, tf.io.gfile.isdir(path)
    else:
        with os.scandir(folder) as entries:
            for entry in entries:
                yield entry.path, entry.is_dir()


@contextlib.contextmanager
def reading(path: str) -> Iterator[None]:
    """Tells in one line that a path cannot be read, and why.

    Raises:
      DataError: for any error of the operating or a remote file system.
    """
    try:
        yield
    except OSError as error:
        why = f"{error.strerror}: {error.filename}" if error.strerror else str(error)
    except tf.errors.UnimplementedError:
        why = "TensorFlow has no driver for this kind of path: mount or copy the data"
    except tf.errors.OpError as error:
        why = " ".join((error.message or "").split()) or type(error).__name__
    else:
        return
    raise DataError(f"{path} cannot be read: {why}")


def readable(name: str) -> str:
    """A file's name as text, where the system could not decode it: UTF-8, else Latin-1."""
    try:
        return os.fsencode(name).decode("utf-8")
    except UnicodeDecodeError:
        return os.fsencode(name).decode("latin-1")
