"""Reports examples that cannot be decoded by name, leaves them out and limits their number."""

import collections
import logging
import pathlib
from collections.abc import Iterable
from typing import Any

import tensorflow as tf

from jax_bt.data.decode import pixels
from jax_bt.errors import DataError

# More damaged images than this is no longer a few broken files but a broken data set.
MAX_UNDECODABLE = 100
WARNED = 10  # the first ones are logged as warnings, the others as information
NAMED = 3  # images that the error about too many names

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
    except Exception as error:  # Pillow raises many kinds
        return " ".join(str(error).split()) or type(error).__name__
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
        self._records, self._limit = records, limit
        self._found: dict[int, str] = {}

    def __contains__(self, index: int) -> bool:
        return int(index) in self._found

    def __len__(self) -> int:
        return len(self._found)

    def add(self, found: Iterable[tuple[int, str]]) -> bool:
        """Takes in (index, reason) pairs and logs those that are new.

        Returns:
          Whether any was new.

        Raises:
          DataError: there are more than the limit.
        """
        new = {int(i): why for i, why in found if int(i) not in self._found}
        before = len(self._found)
        self._found |= new
        if len(self._found) > self._limit:
            raise DataError(self._too_many())
        for number, (index, why) in enumerate(new.items(), before):
            level = logging.WARNING if number < WARNED else logging.INFO
            name = self._records.describe(index)
            _log.log(level, "skipped %s: it cannot be decoded (%s)", name, why)
        if before <= WARNED < len(self._found):
            _log.warning(
                "more than %d images cannot be decoded: the names of the others are logged at "
                "level INFO",
                WARNED,
            )
        return bool(new)

    def _too_many(self) -> str:
        """The line about more than the limit: how many of which kind, some names, what to do."""
        names = [self._records.describe(index) for index in self._found]
        kinds, remedy = "", "prepare the data set again"
        if self._records.payload == "path":
            suffixes = collections.Counter(pathlib.Path(name).suffix.lower() for name in names)
            counted = (f"{n} {s or 'without suffix'}" for s, n in suffixes.most_common())
            kinds, remedy = f" ({', '.join(counted)})", "convert them to JPEG or PNG or remove them"
        some = (f"{n} ({why})" for n, why in zip(names, self._found.values(), strict=True))
        return (
            f"{len(names)} images cannot be decoded{kinds}, at most {self._limit} may be damaged: "
            f"{'; '.join([*some][:NAMED])}{'; ...' if len(names) > NAMED else ''}: {remedy}"
        )
