"""Limits what a file may cost its reader; no file of real weights meets a limit."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

OPCODES = 1_000_000  # of one pickle; a ResNet-200 with its optimiser's state has about 60,000
NAME = 500  # characters of a tensor's name: nested dicts could repeat a long one without end
LENGTH = (
    64  # of shapes and arguments, numpy's own limit: a long tuple could be passed again and again
)
DEPTH = 8  # dicts inside dicts


def most_bytes(file_size: int) -> int:
    """Bytes that all arrays of a file may take together.

    Expanded tensors, tensors that share a storage and compressed files rightly take more than
    the file has; so 16 times its size, and 64 MiB that small files may take in any case.
    """
    return 16 * file_size + 2**26


def shown(text: object) -> str:
    """A string of the file, fit for a message: one line, printable, not long."""
    text = str(text)
    return repr(text if len(text) <= 100 else f"{text[:100]}...")


@dataclass(eq=False)
class Tensor:
    """An array of a file that is read when it is wanted.

    Not a tuple, and not callable: a pickle that gets hold of one can do nothing with it.

    Attributes:
      nbytes: that the array takes as a contiguous copy.
      read: makes the array; raises WeightsError or, if numpy cannot hold it, ValueError.
    """

    nbytes: int
    read: Callable[[], np.ndarray]
