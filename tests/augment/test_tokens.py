"""Views of captions: which one is drawn, and which are evaluated."""

import numpy as np

from jax_bt.augment import Tokens
from jax_bt.data import order

CAPTIONS = np.array(
    [[[1, 5, 2], [1, 6, 2], [1, 7, 2]], [[1, 8, 2], [0, 0, 0], [0, 0, 0]]], np.int32
)


def test_one_of_the_captions_that_there_are():
    """Equally often: 1,000 of 3,000 draws, with a deviation of the root of 3,000 x 2 / 9, or 26."""
    seeds = order.example_seeds(np.arange(3000), seed=0, epoch=0, views=2)[:, 1]
    drawn = Tokens(length=3).draw(CAPTIONS[np.zeros(3000, int)], seeds)
    words, counts = np.unique(drawn[:, 1], return_counts=True)
    assert list(words) == [5, 6, 7] and np.abs(counts - 1000).max() < 4 * 26
    assert drawn.shape == (3000, 3) and drawn.dtype == np.int32
    only = Tokens(length=3).draw(CAPTIONS[np.ones(50, int)], seeds[:50])
    assert (only == [1, 8, 2]).all()


def test_the_largest_seed_draws_the_last_caption():
    seeds = np.full((2, 2), 2**32 - 1, np.uint32)
    np.testing.assert_array_equal(Tokens(length=3).draw(CAPTIONS, seeds)[:, 1], [7, 8])


def test_every_caption_is_evaluated_or_the_first_ones():
    items, owners = Tokens(length=3).items(CAPTIONS)
    assert items[:, 1].tolist() == [5, 6, 7, 8] and owners.tolist() == [0, 0, 0, 1]
    items, owners = Tokens(length=3, evaluated=2).items(CAPTIONS)
    assert items[:, 1].tolist() == [5, 6, 8] and owners.tolist() == [0, 0, 1]
