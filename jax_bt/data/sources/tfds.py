"""Opens data sets prepared by TensorFlow Datasets."""

import functools
import os
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf
import tensorflow_datasets as tfds

from jax_bt.data.damaged import reason
from jax_bt.data.decode import decode
from jax_bt.data.options import pipeline_options, worker_count
from jax_bt.data.sources import tfds_captions
from jax_bt.data.sources.base import Source
from jax_bt.data.sources.records import ABSENT, DIFFICULT, PRESENT, UNLABELLED, ArrayRecords
from jax_bt.data.sources.tfds_files import open_builder, unreadable
from jax_bt.data.sources.tfrecord import Shard, StreamRecords
from jax_bt.errors import DataError

# A data set whose largest split is no larger is read into memory, split by split when needed, as
# pixels where its images are of one size. Of a larger one examples are read by index if it is
# stored as ArrayRecord, and streamed if it is stored as TFRecord, which has no random access.
MEMORY_LIMIT = 2**30  # bytes

SKIP = {"image": tfds.decode.SkipDecoding()}


class Labels(NamedTuple):
    """Which features of a data set are its labels.

    Attributes:
      keys: ("label",); ("labels",) for several classes per example, or ("labels",
        "labels_no_difficult") where those of difficult objects only are told apart; () for none.
      kind: the classes; None for none.
    """

    keys: tuple[str, ...]
    kind: tfds.features.ClassLabel | None

    @property
    def several(self) -> bool:
        """Whether an example has several labels."""
        return "labels" in self.keys

    @property
    def shape(self) -> tuple[int, ...]:
        """Of an example's label: (), or (K,) for several of K classes."""
        return (self.kind.num_classes,) if self.several and self.kind else ()

    def of(self, example: dict[str, Any]) -> tf.Tensor:
        """The int32 label of an example in a graph; UNLABELLED without labels."""
        if not self.several:
            return tf.cast(example.get("label", UNLABELLED), tf.int32)
        classes = tf.range(self.shape[0], dtype=tf.int64)[:, None]
        marked, sure = (
            tf.reduce_any(classes == tf.cast(example[key], tf.int64), axis=1)
            for key in (self.keys[0], self.keys[-1])
        )
        return tf.where(sure, PRESENT, tf.where(marked, DIFFICULT, ABSENT))

    def of_arrays(self, example: dict[str, Any]) -> np.ndarray | int:
        """`of` without TensorFlow, which would take longer than the reading."""
        if not self.several:
            return example["label"]
        label = np.full(self.shape, ABSENT, np.int32)
        label[example[self.keys[0]]] = DIFFICULT
        label[example[self.keys[-1]]] = PRESENT
        return label


def _labels(features: dict[str, Any]) -> Labels:
    if isinstance(features.get("label"), tfds.features.ClassLabel):
        return Labels(("label",), features["label"])
    names = ("labels", "labels_no_difficult")
    inner = {name: getattr(features.get(name), "feature", None) for name in names}
    keys = tuple(n for n, kind in inner.items() if isinstance(kind, tfds.features.ClassLabel))
    return Labels(keys, inner["labels"]) if "labels" in keys else Labels((), None)


class RandomAccessRecords:
    """A split stored as ArrayRecord, read by index."""

    payload = "bytes"

    def __init__(self, builder: tfds.core.DatasetBuilder, split: str, labels: Labels):
        self._version = version(builder, split)
        self._data = builder.as_data_source(split, decoders=SKIP)
        self._labels, self.labelled = labels, bool(labels.keys)
        self.label = labels.shape
        self.where = f"{builder.name}, split {split!r}"
        self.size = len(self._data)

    def fetch(self, index: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
        try:
            found = self._data.__getitems__([int(i) for i in index])
        except Exception as error:  # the reader is C++ and raises RuntimeError for most
            raise DataError(unreadable(self.where, error)) from error
        # What is behind the end of a file is None.
        if any(value is None for example in found for value in example.values()):
            raise DataError(unreadable(self.where, "a file is cut short"))
        images = np.empty(len(found), object)
        images[:] = [example["image"] for example in found]
        return images, self._targets(found)

    def in_order(self) -> tf.data.Dataset:
        """(index, encoded image, label) of every example, by index."""

        def some(start):
            index = np.arange(start, min(start + 1024, self.size))
            images, targets = self.fetch(index)
            return index, images, np.zeros(len(index), np.int32) if targets is None else targets

        def fetch(start):
            columns = tf.numpy_function(some, [start], (tf.int64, tf.string, tf.int32))
            for column, shape in zip(columns, ((), (), self.label), strict=True):
                column.set_shape([None, *shape])
            return tuple(columns)

        return tf.data.Dataset.range(0, self.size, 1024).map(fetch).unbatch()

    def _targets(self, found) -> np.ndarray | None:
        if not self.labelled:
            return None
        return np.array([self._labels.of_arrays(e) for e in found], np.int32)

    def labels(self) -> np.ndarray | None:
        if not self.labelled:
            return None
        step = 4096
        starts = range(0, self.size, step)
        return np.concatenate(
            [self.fetch(np.arange(s, min(s + step, self.size)))[1] for s in starts]
        )

    def describe(self, index: int) -> str:
        return f"example {index} of {self.where}"

    def slice_order(self) -> None:
        return None  # as TFDS reads slices: it has mixed the examples when it wrote them

    def identity(self) -> bytes:
        return self._version


def version(builder: tfds.core.DatasetBuilder, split: str) -> bytes:
    """Name, version and size of a split."""
    info = builder.info.splits[split]
    return f"{builder.info.full_name} {split} {info.num_examples} {info.num_bytes}".encode()


def load_tfds(
    name: str, data_dir: str | os.PathLike | None = None, *, download: bool = False
) -> Source:
    """A data set prepared by TFDS, by name (``cifar10``, ``name/config:version``) or folder.

    Args:
      name: of the data set, or the folder of one prepared version.
      data_dir: where data sets are prepared; None takes TFDS's default (``TFDS_DATA_DIR`` or
        ``~/tensorflow_datasets``).
      download: prepare a registered data set that is missing, if it can be downloaded.

    Raises:
      DataError: unknown, not prepared, or without an ``image`` feature.
    """
    builder = open_builder(name, data_dir, download)
    info = builder.info
    features = info.features
    features = dict(features) if isinstance(features, tfds.features.FeaturesDict) else {}
    if not isinstance(features.get("image"), tfds.features.Image):
        found = ", ".join(f"{key} ({type(kind).__name__})" for key, kind in features.items())
        raise DataError(
            f"TFDS data set {name!r} has no image feature named 'image': its features are "
            f"{found or info.features}"
        )
    if features["image"].np_dtype == np.float32:  # stored as the four bytes of each number
        raise DataError(
            f"TFDS data set {name!r} has images of float32: prepare it with images of uint8"
        )
    labels = _labels(features)
    kind = labels.kind
    size = (*features["image"].shape[:2], 3)
    random_access = info.file_format in (
        tfds.core.FileFormat.ARRAY_RECORD,
        tfds.core.FileFormat.PARQUET,
    )
    # The largest split decides for all, so that any of them can be joined.
    small = max(info.splits[s].num_bytes for s in info.splits) <= MEMORY_LIMIT
    count = max(info.splits[s].num_examples for s in info.splits)
    as_pixels = small and None not in size and count * int(np.prod(size)) <= MEMORY_LIMIT

    @functools.cache
    def captions(split: str) -> np.ndarray:
        stored = (RandomAccessRecords if random_access else _stream)(builder, split, labels)
        if isinstance(stored, StreamRecords):
            return tfds_captions.of_stream(builder, stored)
        return tfds_captions.of_random_access(stored._data)

    def open_split(split: str):
        stored = (RandomAccessRecords if random_access else _stream)(builder, split, labels)
        if as_pixels:
            try:
                return _in_memory(stored, size)
            except tf.errors.OpError:
                pass  # a damaged image: keep them encoded and let the batches name and skip it
        if random_access or not small:
            return stored
        try:
            return _in_memory(stored, None)
        except tf.errors.OpError as error:
            raise DataError(unreadable(stored.where, reason(error))) from error

    return Source(
        name,
        {split: info.splits[split].num_examples for split in info.splits},
        open_split,
        num_classes=kind.num_classes if kind else None,
        class_names=tuple(kind.names) if kind and kind.names else None,
        several=labels.several,
        columns={"captions": captions} if tfds_captions.has_captions(features) else None,
    )


def _stream(builder: tfds.core.DatasetBuilder, split: str, labels: Labels) -> StreamRecords:
    keep = ("image", *labels.keys)
    wanted = tfds.features.FeaturesDict({key: builder.info.features[key] for key in keep})

    def parse(record: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        example = wanted.deserialize_example(record, decoders=SKIP)
        return example["image"], labels.of(example)

    shards, first = [], 0
    for part in builder.info.splits[split].file_instructions:
        count = part.examples_in_shard if part.take == -1 else part.take
        shards.append(Shard(os.fspath(part.filename), part.skip, count, first))
        first += count
    where = f"{builder.name}, split {split!r}"
    return StreamRecords(
        tuple(shards),
        parse,
        bool(labels.keys),
        where,
        version(builder, split),
        label=labels.shape,
    )


def _in_memory(
    stored: StreamRecords | RandomAccessRecords, size: tuple[int, int, int] | None
) -> ArrayRecords:
    """Reads a split into memory: as pixels where all images are of this size, else as encoded."""
    workers = worker_count()
    dataset = stored.in_order()
    if size:
        dataset = dataset.map(lambda i, e, y: (i, decode(e), y), num_parallel_calls=workers)
    images = np.empty((stored.size, *(size or ())), np.uint8 if size else object)
    targets = np.empty((stored.size, *stored.label), np.int32)
    dataset = dataset.batch(1024).with_options(pipeline_options(workers))
    for index, image, label in dataset.as_numpy_iterator():
        images[index], targets[index] = image, label
    return ArrayRecords(
        images, targets if stored.labelled else None, stored.where, "image" if size else "bytes"
    )
