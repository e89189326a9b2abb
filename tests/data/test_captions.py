"""Captions: words, the vocabulary of a training split, and word numbers."""

import numpy as np

from jax_bt.data import captions
from jax_bt.data.captions import Vocabulary


def test_words():
    assert captions.words("A man's DOG, 2 cats!") == ["a", "man's", "dog", ",", "2", "cats", "!"]
    assert captions.words("keycap: *") == ["keycap", ":", "*"]
    assert captions.words("Ça va_bien") == ["ça", "va", "_", "bien"]
    assert captions.words(" \n") == []


def test_the_vocabulary_is_that_of_the_words_and_not_of_their_order():
    texts = ["a red dog", "a dog", "the red cat"]
    found = Vocabulary.of(texts, least_count=2)
    assert found.known == ("<pad>", "<start>", "<end>", "<unk>", "a", "dog", "red")
    assert Vocabulary.of(texts[::-1], least_count=2) == found and len(found) == 7
    assert Vocabulary.from_text(found.to_text()) == found
    assert found.to_text().splitlines()[4] == "a"


def test_encoding():
    vocabulary = Vocabulary.of(["a red dog"])
    texts = np.array([["a dog", "", "a blue dog"], ["", "red", ""]])
    found = vocabulary.encode(texts, 5)
    assert found.dtype == np.int32
    # What is there comes first; 1 begins, 2 ends, 3 is unknown, 0 is behind.
    assert found.tolist() == [
        [[1, 4, 5, 2, 0], [1, 4, 3, 5, 2], [0] * 5],
        [[1, 6, 2, 0, 0], [0] * 5, [0] * 5],
    ]
    assert vocabulary.encode(texts[:1, 2:], 3).tolist() == [[[1, 4, 3]]]  # cut
