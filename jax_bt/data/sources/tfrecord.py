"""Reads TFRecord files too large for memory in a seeded order, without random access."""

import dataclasses
from collections.abc import Callable, Sequence

import numpy as np
import tensorflow as tf

from jax_bt.data import order


@dataclasses.dataclass(frozen=True)
class Shard:
    """A run of records in one file: ``count`` of them after the first ``skip``.

    ``first`` is the index of the first of them in the split.
    """

    path: str
    skip: int
    count: int
    first: int


@dataclasses.dataclass(frozen=True)
class StreamRecords:
    """A split that can only be read from the beginning of its files.

    Args:
      shards: where its records are.
      parse: serialised record to (encoded image, int32 label of the shape ``label``).
      labelled: whether the label means anything.
      where: data set and split, for messages.
      version: name, version and size of the split.
      label: () for one class per example, (K,) for several of K.
    """

    shards: Sequence[Shard]
    parse: Callable[[tf.Tensor], tuple[tf.Tensor, tf.Tensor]]
    labelled: bool
    where: str
    version: bytes = b""
    payload: str = "bytes"
    label: tuple[int, ...] = ()

    # CYCLE files are read at a time, sixteen records from each; the shuffle buffer then holds
    # BUFFER encoded images (ImageNet: 110 kB each, 1.8 GB).
    CYCLE = 16
    BUFFER = 16384

    @property
    def size(self) -> int:
        return sum(shard.count for shard in self.shards)

    def select(self, start: int, stop: int, first: int) -> "tuple[Shard, ...]":
        """The shards of examples start to stop, numbered from ``first``."""
        chosen = []
        for shard in self.shards:
            low, high = max(start, shard.first), min(stop, shard.first + shard.count)
            if low < high:
                skip = shard.skip + low - shard.first
                chosen.append(Shard(shard.path, skip, high - low, first + low - start))
        return tuple(chosen)

    def describe(self, index: int) -> str:
        shard = next(s for s in self.shards if s.first <= index < s.first + s.count)
        return f"record {shard.skip + index - shard.first} of {shard.path}"

    def slice_order(self) -> None:
        return None  # as TFDS reads slices

    def identity(self) -> bytes:
        """Changes when the examples do."""
        return self.version

    def fetch(self, index: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
        """As of other records; reads the files up to the last of the examples."""
        wanted, last = set(np.asarray(index).tolist()), int(np.max(index))
        found = {}
        for number, image, label in self.in_order().take(last + 1).as_numpy_iterator():
            if int(number) in wanted:
                found[int(number)] = image, label
        images = np.empty(len(index), object)
        images[:] = [found[int(i)][0] for i in index]
        if not self.labelled:
            return images, None
        return images, np.array([found[int(i)][1] for i in index], np.int32)

    def labels(self) -> np.ndarray | None:
        """(size, *label) int32; reads the whole split."""
        if not self.labelled:
            return None
        targets = np.empty((self.size, *self.label), np.int32)
        for index, label in self.in_order().map(lambda i, _, y: (i, y)).batch(4096):
            targets[index.numpy()] = label
        return targets

    def _columns(self, places: np.ndarray | None = None) -> tuple:
        shards = self.shards if places is None else [self.shards[i] for i in places]
        numbers = np.array([(s.skip, s.count, s.first) for s in shards], np.int64)
        return np.array([s.path for s in shards], object), numbers

    def _open(self, path: tf.Tensor, numbers: tf.Tensor) -> tf.data.Dataset:
        """(index, serialised record) of one shard."""
        # Not tf.unstack: TensorFlow 2.21 crashes if `take` is given an operation's second output.
        skip, count, first = numbers[0], numbers[1], numbers[2]
        records = tf.data.TFRecordDataset(path, buffer_size=2**20).skip(skip).take(count)
        return records.enumerate(first)

    def in_order(self) -> tf.data.Dataset:
        """(index, encoded image, label) of every example, by index."""
        files = tf.data.Dataset.from_tensor_slices(self._columns())
        return files.flat_map(self._open).map(lambda i, r: (i, *self.parse(r)))

    def shuffled(self, *, seed: int, start_epoch: int, skip: int, take: int) -> tf.data.Dataset:
        """(epoch, index, encoded image, label), epoch after epoch, without end.

        Of every epoch: the shards in keyed order, interleaved, then a seeded shuffle in a buffer,
        then the first ``take`` examples. The first epoch starts after ``skip`` of them, which are
        read but not decoded: resuming is exact and costs the reading of the part already seen.
        """

        def opened(epoch):
            places = order.permutation(len(self.shards), seed=seed, epoch=int(epoch))
            paths, numbers = self._columns(places)
            shuffle = order.example_seeds(np.zeros(1), seed=seed, epoch=int(epoch), views=1)
            return paths, numbers, np.int64(shuffle[0, 0, 0])

        def one(epoch):
            kinds = (tf.string, tf.int64, tf.int64)
            paths, numbers, word = tf.numpy_function(opened, [epoch], kinds)
            paths.set_shape([len(self.shards)])
            numbers.set_shape([len(self.shards), 3])
            word.set_shape([])
            examples = tf.data.Dataset.from_tensor_slices((paths, numbers)).interleave(
                self._open, cycle_length=min(self.CYCLE, len(self.shards)), block_length=16
            )
            examples = examples.shuffle(min(self.BUFFER, self.size), seed=word).take(take)
            examples = examples.skip(tf.where(epoch == start_epoch, tf.cast(skip, tf.int64), 0))
            return examples.map(lambda i, r: (epoch, i, *self.parse(r)))

        return tf.data.Dataset.range(start_epoch, 2**62).flat_map(one)
