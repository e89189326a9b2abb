"""Reads the captions of a TFDS data set, without its images, into memory."""

from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_datasets as tfds

from jax_bt.data.sources.tfrecord import StreamRecords

NAME = "captions"
BETWEEN = "\x1f"  # the captions of an example, which hold line breaks in MS-COCO
ROWS = 1024


def has_captions(features: dict[str, Any]) -> bool:
    """Whether the features hold captions as MS-COCO's do: a sequence with a "text" each."""
    inner = getattr(features.get(NAME), "feature", None)
    return isinstance(inner, tfds.features.FeaturesDict) and "text" in inner


def of_stream(builder: tfds.core.DatasetBuilder, records: StreamRecords) -> np.ndarray:
    """(size, captions) texts of a split stored as TFRecord, by index; "" for none."""
    wanted = tfds.features.FeaturesDict({NAME: builder.info.features[NAME]})
    found = np.full(records.size, "", object)

    def parse(record: tf.Tensor) -> tuple[tf.Tensor]:
        texts = wanted.deserialize_example(record)[NAME]["text"]
        return (tf.strings.reduce_join(texts, separator=BETWEEN),)

    only_texts = StreamRecords(records.shards, parse, False, records.where)
    for index, texts in only_texts.in_order().batch(ROWS).as_numpy_iterator():
        found[index] = texts
    return _rows([joined.decode().split(BETWEEN) for joined in found])


def of_random_access(data: Any) -> np.ndarray:
    """The same of a split stored as ArrayRecord.

    Args:
      data: from ``as_data_source``, with images left as they are.
    """
    found = []
    for start in range(0, len(data), ROWS):
        examples = data.__getitems__([*range(start, min(start + ROWS, len(data)))])
        found += [[text.decode() for text in example[NAME]["text"]] for example in examples]
    return _rows(found)


def _rows(found: list[list[str]]) -> np.ndarray:
    texts = np.full((len(found), max(map(len, found))), "", object)
    for i, row in enumerate(found):
        texts[i, : len(row)] = [text.strip() for text in row]
    return texts
