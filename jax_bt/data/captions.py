"""Turns captions into word numbers, by a vocabulary of the training split."""

import collections
import dataclasses
import functools
import re
from collections.abc import Iterable

import numpy as np

# Word 0 is the padding behind a caption. A caption stands between START and END.
PADDING, START, END, UNKNOWN = SPECIAL = ("<pad>", "<start>", "<end>", "<unk>")
_WORD = re.compile(r"[^\W_]+(?:'[^\W_]+)*|[^\w\s]|_+")


def words(caption: str) -> list[str]:
    """The words of a caption, in lower case: runs of letters and digits, and each other sign.

    VSE++ takes nltk's tokeniser, which also splits "don't" into two.
    """
    return _WORD.findall(caption.lower())


@dataclasses.dataclass(frozen=True)
class Vocabulary:
    """The words of a training split by number.

    Args:
      known: words, the first four being SPECIAL.
    """

    known: tuple[str, ...]

    @classmethod
    def of(cls, captions: Iterable[str], least_count: int = 1) -> "Vocabulary":
        """The vocabulary of captions, in alphabetical order: the same whatever their order.

        Args:
          captions: of the training split.
          least_count: of the occurrences of a word; rarer words are unknown.
        """
        counts = collections.Counter(word for caption in captions for word in words(caption))
        found = sorted(word for word, count in counts.items() if count >= least_count)
        return cls((*SPECIAL, *found))

    def __len__(self) -> int:
        return len(self.known)

    @functools.cached_property
    def _numbers(self) -> dict[str, int]:
        return {word: number for number, word in enumerate(self.known)}

    def encode(self, captions: np.ndarray, length: int) -> np.ndarray:
        """Word numbers of captions.

        Args:
          captions: (N, K) texts; "" for none.
          length: words of the result, START and END among them; longer captions are cut.

        Returns:
          (N, K, length) int32, 0 behind the last word; all 0 for no caption. The captions that an
          example has come first.
        """
        unknown = self._numbers[UNKNOWN]
        found = np.zeros((*captions.shape, length), np.int32)
        for example, row in enumerate(captions):
            for place, caption in enumerate(text for text in row if text):
                own = [self._numbers.get(word, unknown) for word in words(str(caption))]
                own = [self._numbers[START], *own, self._numbers[END]][:length]
                found[example, place, : len(own)] = own
        return found

    def to_text(self) -> str:
        """One word a line; the number of a word is that of its line, from 0."""
        return "\n".join(self.known) + "\n"

    @classmethod
    def from_text(cls, text: str) -> "Vocabulary":
        """Reads what ``to_text`` wrote."""
        return cls(tuple(text.splitlines()))
