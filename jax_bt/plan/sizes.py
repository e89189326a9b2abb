"""Finds the number of training examples, without the data set where it is well known."""

from jax_bt import data
from jax_bt.data.sources import splits
from jax_bt.errors import DataError, UsageError
from jax_bt.train.run import Data

# The TFDS catalogue's numbers of examples.
KNOWN = {
    "imagenet2012": {"train": 1_281_167, "validation": 50_000, "test": 100_000},
    "cifar10": {"train": 50_000, "test": 10_000},
    "cifar100": {"train": 50_000, "test": 10_000},
    "stl10": {"train": 5_000, "test": 8_000, "unlabelled": 100_000},
    "places365_small": {"train": 1_803_460, "validation": 36_500, "test": 328_500},
}


def train_size(reads: Data, given: int | None = None) -> int:
    """Examples of the training split: as given, as known, or as the prepared data set says.

    Args:
      reads: what the run reads.
      given: the number, where the user knows it.

    Raises:
      UsageError: none of the three.
    """
    if given is not None:
        if given < 1:
            raise UsageError(f"--train_size={given}: give the number of training examples")
        return given
    name, split = reads.name, reads.train
    if name in KNOWN:
        return sum(stop - start for _, start, stop in splits.parse(split, KNOWN[name], name))
    try:
        return data.load(name, data_dir=reads.data_dir).size(split)
    except DataError as error:
        raise UsageError(f"{error}; or give the number of examples by --train_size=N") from error
