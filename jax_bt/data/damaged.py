"""Examples that cannot be decoded: reported by name, left out, and limited in number."""

import logging
from collections.abc import Iterable
from typing import Any

import tensorflow as tf

from jax_bt.data.decode import pixels
from jax_bt.errors import DataError

# More damaged images than this is no longer a few broken files but a broken data set.
MAX_UNDECODABLE = 100

_log = logging.getLogger(__name__)


def undecodable(payload: Any, kind: str) -> str | None:
    """Why an example cannot be decoded, None if it can.

    Args:
      payload: one example as ``Records.fetch`` returned it.
      kind: ``Records.payload``.
    """
    try:
        pixels(tf.constant(payload), kind)
    except tf.errors.NotFoundError:
        return "the file is gone"
    except tf.errors.OpError as error:
        return reason(error)
    return None


def reason(error: tf.errors.OpError) -> str:
    """The first line of a TensorFlow error, without the name of the operation."""
    return (error.message or str(error)).split("}} ")[-1].splitlines()[0].split(" [Op:")[0]


class Quarantine:
    """The examples known to be undecodable.

    Args:
      records: what the indices refer to.
      limit: more than this many end the run.
    """

    def __init__(self, records, limit: int = MAX_UNDECODABLE):
        self._records, self._limit, self._found = records, limit, set()

    def __contains__(self, index: int) -> bool:
        return int(index) in self._found

    def __len__(self) -> int:
        return len(self._found)

    def add(self, found: Iterable[tuple[int, str]]) -> None:
        """Takes in (index, reason) pairs and reports those that are new.

        Raises:
          DataError: there are more than the limit.
        """
        for index, why in found:
            if index in self._found:
                continue
            self._found.add(index)
            name = self._records.describe(index)
            if len(self._found) > self._limit:
                raise DataError(
                    f"more than {self._limit} images cannot be decoded, the last of them {name} "
                    f"({why}): repair or remove them, the names are in the log"
                )
            _log.warning("skipped %s: it cannot be decoded (%s)", name, why)
