"""The order of a run and the seeds of its views."""

import numpy as np
import pytest

from jax_bt.data import order


@pytest.mark.parametrize("size", [1, 2, 37, 1000])
def test_an_epoch_is_a_permutation(size):
    assert sorted(order.permutation(size, seed=3, epoch=5)) == list(range(size))


def test_the_order_depends_on_seed_and_epoch_and_on_nothing_else():
    same = order.permutation(500, seed=1, epoch=2)
    np.testing.assert_array_equal(same, order.permutation(500, seed=1, epoch=2))
    for seed, epoch in ((1, 3), (2, 2), (-1, 2)):
        assert not np.array_equal(same, order.permutation(500, seed=seed, epoch=epoch))


def test_the_order_is_what_it_was_when_runs_were_started():
    """A run resumed under a later version must see the same data."""
    expected = [0, 2, 9, 1, 8, 5, 4, 3, 6, 7]
    np.testing.assert_array_equal(order.permutation(10, seed=0, epoch=0), expected)


def test_every_place_is_equally_likely():
    first = [order.permutation(4, seed=s, epoch=0)[0] for s in range(2000)]
    counts = np.bincount(first, minlength=4)
    assert (abs(counts - 500) < 100).all()  # 5 standard deviations


@pytest.mark.parametrize("count", [1, 2, 3, 6])
def test_processes_share_out_the_global_batch(count):
    kwargs = {"size": 27, "global_batch": 6}
    for step in (0, 3, 4, 11):
        epoch, whole = order.batch_positions(step, **kwargs)
        parts = [
            order.batch_positions(step, **kwargs, process_index=i, process_count=count)
            for i in range(count)
        ]
        assert {e for e, _ in parts} == {epoch}
        np.testing.assert_array_equal(np.concatenate([p for _, p in parts]), whole)


def test_an_epoch_drops_its_incomplete_last_batch():
    assert order.steps_per_epoch(27, 6) == 4
    epochs = [order.batch_positions(s, size=27, global_batch=6) for s in range(5)]
    assert [e for e, _ in epochs] == [0, 0, 0, 0, 1]
    np.testing.assert_array_equal(np.concatenate([p for _, p in epochs[:4]]), np.arange(24))
    np.testing.assert_array_equal(epochs[4][1], np.arange(6))


def test_seeds_of_an_example_do_not_depend_on_its_neighbours():
    kwargs = {"seed": 7, "epoch": 2, "views": 3}
    together = order.example_seeds(np.array([5, 0, 900]), **kwargs)
    assert together.shape == (3, 3, 2)
    assert together.dtype == np.uint32
    np.testing.assert_array_equal(order.example_seeds(np.array([0]), **kwargs)[0], together[1])
    fewer = order.example_seeds(np.array([5]), seed=7, epoch=2, views=2)
    np.testing.assert_array_equal(fewer[0], together[0, :2])


def test_seeds_differ_in_every_key():
    index = np.arange(2000)
    parts = [
        order.example_seeds(index, seed=s, epoch=e, views=2) for s in (0, 1, -1) for e in (0, 1)
    ]
    seeds = np.concatenate(parts).reshape(-1, 2)
    assert len(np.unique(seeds, axis=0)) == len(seeds)
    bits = np.unpackbits(seeds.view(np.uint8)).mean()
    assert abs(bits - 0.5) < 0.003  # 24,000 words of 64 bits: 4 standard deviations are 0.0016
