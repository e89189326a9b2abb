"""Chooses and fetches the examples of every step, and replaces damaged ones."""

import numpy as np
import tensorflow as tf

from jax_bt.data import order
from jax_bt.data.damaged import Quarantine, undecodable
from jax_bt.data.sources.records import Records
from jax_bt.data.sources.tfrecord import StreamRecords

FOREVER = 2**62  # steps
# At most this many others are tried in place of a damaged example.
SUBSTITUTES = 1000


class Feed:
    """One process's share of every global batch, still encoded, from any step on.

    Args:
      records: random access, or a stream.
      global_batch: examples in a step over all processes.
      seed: of the run.
      views: number of views per example.
      process_index, process_count: whose share.
      limit: on undecodable examples.
    """

    def __init__(
        self,
        records: Records | StreamRecords,
        *,
        global_batch: int,
        seed: int,
        views: int,
        process_index: int,
        process_count: int,
        limit: int,
    ):
        self.records, self.seed, self.views = records, seed, views
        self.global_batch, self.local = global_batch, global_batch // process_count
        self.place = {"process_index": process_index, "process_count": process_count}
        self.streamed = isinstance(records, StreamRecords)
        self.quarantine = Quarantine(records, limit)
        if self.streamed:
            self.labelled, self.spec = records.labelled, tf.TensorSpec([], tf.string)
            self.label = records.label
        else:
            payload, label = records.fetch(np.arange(1))
            self.labelled = label is not None
            self.label = () if label is None else label.shape[1:]
            kind = tf.as_dtype(payload.dtype) if records.payload == "image" else tf.string
            self.spec = tf.TensorSpec(payload.shape[1:], kind)

    def dataset(self, start_step: int) -> tf.data.Dataset:
        """Dicts of "index" (b,), "seeds" (b, views, 2) int32, "payload" (b, ...), "label" (b,)."""
        kinds = (tf.int64, tf.int32, self.spec.dtype, tf.int32)

        def shaped(function, *arguments):
            index, seeds, payload, label = tf.numpy_function(function, arguments, kinds)
            index.set_shape([self.local])
            seeds.set_shape([self.local, self.views, 2])
            payload.set_shape([self.local, *self.spec.shape])
            label.set_shape([self.local, *self.label])
            example = {"index": index, "seeds": seeds, "payload": payload}
            return example | ({"label": label} if self.labelled else {})

        if self.streamed:
            return self._stream(start_step).map(lambda *e: shaped(self._repaired, *e))
        steps = tf.data.Dataset.range(start_step, FOREVER)
        return steps.map(lambda step: shaped(self._selected, step))

    def diagnose(self, step: int) -> list[tuple[int, str]]:
        """The examples of a step that cannot be decoded, with the reasons."""
        if self.streamed:
            try:
                raw = next(self._stream(step).as_numpy_iterator())
            except tf.errors.OpError:  # a damaged file, not a damaged image
                return []
            index, _, payload, _ = self._repaired(*raw)
        else:
            index, _, payload, _ = self._selected(step)
        reasons = [undecodable(p, self.records.payload) for p in payload]
        return [(int(i), why) for i, why in zip(index, reasons, strict=True) if why]

    def _selected(self, step):
        """Random access: the step's places in the epoch's order, fetched."""
        epoch, positions = order.batch_positions(
            int(step), size=self.records.size, global_batch=self.global_batch, **self.place
        )
        places = order.recent_permutation(self.records.size, seed=self.seed, epoch=epoch)
        index = places[positions]
        if len(self.quarantine):
            bad = [slot for slot, i in enumerate(index) if i in self.quarantine]
            for slot in bad:
                index[slot] = self._substitute(places, int(positions[slot]))
        payload, label = self.records.fetch(index)
        return self._finished(index, epoch, payload, label)

    def _substitute(self, places: np.ndarray, position: int) -> int:
        """What replaces a damaged example: one that the epoch drops, else another of the epoch.

        The choice depends on the order and on which files are damaged, not on when that was found
        out, so that a resumed run and another process choose the same.
        """
        used = order.steps_per_epoch(len(places), self.global_batch) * self.global_batch
        spare = places[used:]
        for others, at in ((spare, position), (places, position + 1)):
            for k in range(min(len(others), SUBSTITUTES)):
                other = int(others[(at + k) % len(others)])
                if other not in self.quarantine:
                    return other
        return int(places[position])  # nothing decodable in reach: `train_batches` then raises

    def _stream(self, start_step: int) -> tf.data.Dataset:
        """(epoch, index, encoded, label) of this process's slice of every step."""
        used = order.steps_per_epoch(self.records.size, self.global_batch)
        epoch, within = divmod(start_step, used)
        examples = self.records.shuffled(
            seed=self.seed,
            start_epoch=epoch,
            skip=within * self.global_batch,
            take=used * self.global_batch,
        )
        # Every process reads the whole stream, so that all agree on the global batch; each
        # decodes its own slice only.
        first = self.place["process_index"] * self.local
        steps = examples.batch(self.global_batch, drop_remainder=True)
        return steps.map(lambda *e: tuple(x[first : first + self.local] for x in e))

    def _repaired(self, epoch, index, payload, label):
        """A stream's step, damaged examples replaced by the next good one of the slice."""
        if len(self.quarantine):
            good = [slot for slot, i in enumerate(index) if i not in self.quarantine]
            for slot in set(range(len(index))) - set(good) if good else ():
                other = next((g for g in good if g > slot), good[0])
                index[slot], payload[slot], label[slot] = index[other], payload[other], label[other]
        return self._finished(index, int(epoch[0]), payload, label)

    def _finished(self, index, epoch, payload, label):
        seeds = order.example_seeds(index, seed=self.seed, epoch=epoch, views=self.views)
        if not self.labelled:
            label = np.zeros((self.local, *self.label), np.int32)
        return index, seeds.view(np.int32), payload, label
