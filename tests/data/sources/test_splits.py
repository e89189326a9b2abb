"""Slices of splits, as TFDS reads them."""

import pytest
import tensorflow_datasets as tfds

from jax_bt.data.sources import splits
from jax_bt.errors import DataError

SIZES = {"train": 1297, "test": 503}


@pytest.mark.parametrize(
    "spec",
    [
        "train",
        "train[:10%]",
        "train[33%:]",
        "train[25%:75%]",
        "test[100:200]",
        "test[-50:]",
        "test[:-50]",
        "test[-10%:]",
        "train+test",
        "test[:10%]+train[90%:]",
    ],
)
def test_the_same_examples_as_tfds(spec):
    infos = {
        name: tfds.core.SplitInfo(name=name, shard_lengths=[size], num_bytes=0)
        for name, size in SIZES.items()
    }
    expected = [
        (part.splitname, part.from_ or 0, SIZES[part.splitname] if part.to is None else part.to)
        for part in tfds.core.ReadInstruction.from_spec(spec).to_absolute(infos)
    ]
    assert splits.parse(spec, SIZES, "digits") == expected


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("val", "digits has no split 'val': it has train, test"),
        ("tset", "digits has no split 'tset' .did you mean 'test'..: it has train, test"),
        ("train+val", "digits has no split 'val'"),
        ("train[:10", "split 'train..10' of digits cannot be read"),
        ("", "split '' of digits cannot be read"),
        ("train[5:5]", "split 'train.5:5.' of digits is empty: train has 1297 examples"),
        ("train[2000:]", "is empty"),
    ],
)
def test_errors_name_what_is_there(spec, message):
    with pytest.raises(DataError, match=message):
        splits.parse(spec, SIZES, "digits")


def test_names_are_told_without_a_data_set():
    assert splits.names("train[:10%] + tset") == ["train", "tset"]
