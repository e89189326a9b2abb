"""SplitMix64, against published numbers."""

import numpy as np
import pytest
import tensorflow as tf

from jax_bt.augment import splitmix

# The first words of the generator from the state 1234567 (Rosetta Code, "Pseudo-random
# numbers/Splitmix64").
WORDS = [
    6457827717110365317,
    3203168211198807973,
    9817491932198370423,
    4593380528125082431,
    16408922859458223821,
]


@pytest.mark.parametrize("array", [np.asarray, tf.constant])
def test_the_published_words(array):
    states = [(1234567 + n * splitmix.GOLDEN) % 2**64 for n in range(1, 6)]
    mixed = splitmix.mix(array(np.array(states, np.uint64)))
    np.testing.assert_array_equal(mixed, np.array(WORDS, np.uint64))
