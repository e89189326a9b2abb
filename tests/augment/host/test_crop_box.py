"""The random numbers of a view and the distribution of its crop."""

import numpy as np
import pytest
import tensorflow as tf

from jax_bt.augment import Crop
from jax_bt.augment.choices import COUNT
from jax_bt.augment.host import crop_box

DRAWS = 20_000


def boxes(shape, crop, count, seed=0):
    """(count, 4) boxes of random resized crops of an image of this shape."""
    uniform = np.random.default_rng(seed).uniform(size=(count, crop_box.BOX_COUNT))
    return crop_box.random_box(shape, crop, uniform.astype(np.float32)).numpy()


@pytest.mark.parametrize("shape", [(375, 500), (32, 32)])
def test_crops_are_distributed_as_torchvisions(golden, shape):
    """Each of 99 quantiles of area, ratio, top and left, of 30000 draws there and 20000 here.

    The largest distance of two empirical distributions of that many draws is above 0.0178 once in
    a thousand times (Kolmogorov-Smirnov). Whole pixels make steps: either side of one will do.
    """
    data, name = golden("augment_rrc_stats"), f"{shape[0]}x{shape[1]}"
    drawn = boxes(shape, Crop(), DRAWS).astype(np.float64)
    top, left, height, width = drawn.T
    measured = (height * width / (shape[0] * shape[1]), np.log(width / height), top, left)
    for row, values in zip(data[f"quant_{name}"], measured, strict=True):
        below = np.array([(values < q - 1e-6).mean() for q in row])
        to = np.array([(values <= q + 1e-6).mean() for q in row])
        assert (below - 0.0178 <= data["q"]).all()
        assert (to + 0.0178 >= data["q"]).all()
    np.testing.assert_allclose(drawn.mean(axis=0), data[f"mean_{name}"], rtol=0.03)


def test_boxes_lie_inside_whatever_the_shape():
    for shape in ((1, 1), (3, 200), (200, 3), (50, 41)):
        top, left, height, width = boxes(shape, Crop(), 500).T
        assert (height >= 1).all() and (width >= 1).all()
        assert (top >= 0).all() and (top + height <= shape[0]).all()
        assert (left >= 0).all() and (left + width <= shape[1]).all()


def test_fallback_is_the_central_box_of_the_nearest_ratio():
    crop = Crop(scale=(0.9, 1.0))  # never fits these: ten tries fail
    assert (boxes((30, 1000), crop, 20) == [0, 480, 30, 40]).all()  # 4 / 3
    assert (boxes((1000, 30), crop, 20) == [480, 0, 40, 30]).all()  # 3 / 4
    assert (boxes((100, 100), Crop(ratio=(1.2, 1.2), scale=(1, 1)), 20) == [8, 0, 83, 100]).all()
    whole = boxes((100, 100), Crop(scale=(1.0, 1.0), ratio=(0.5, 2.0)), 20)
    assert (whole == [0, 0, 100, 100]).all()  # its own ratio is allowed: nothing is cut


def test_placement_reaches_both_edges():
    top, left, height, width = boxes((8, 8), Crop(scale=(0.3, 0.3), ratio=(1.0, 1.0)), 400).T
    assert set(top) == set(range(8 - height[0] + 1)) == set(left)


def split_mix(state, count):
    """The upper 24 bits of SplitMix64's first words, in Python's own integers."""
    mask, numbers = 2**64 - 1, []
    for _ in range(count):
        state = state + 0x9E3779B97F4A7C15 & mask
        word = (state ^ state >> 30) * 0xBF58476D1CE4E5B9 & mask
        word = (word ^ word >> 27) * 0x94D049BB133111EB & mask
        numbers.append((word ^ word >> 31) >> 40)
    return np.array(numbers) / 2**24


@pytest.mark.parametrize("seed", [(0, 0), (1, 2), (-1, -(2**31)), (2**31 - 1, 77)])
def test_numbers_are_those_of_splitmix64(seed):
    upper, lower = (word % 2**32 for word in seed)
    expected = split_mix((upper << 32) + lower, COUNT + crop_box.BOX_COUNT)
    choices, box = crop_box.uniforms(tf.constant(seed, tf.int32))
    np.testing.assert_array_equal(np.concatenate([choices, box]), expected)
    unsigned = crop_box.uniforms(tf.constant([upper, lower], tf.uint32))
    np.testing.assert_array_equal(unsigned[0], choices)


def test_many_seeds_at_once_get_the_numbers_of_one():
    seeds = np.random.default_rng(0).integers(-(2**31), 2**31, (5, 3, 2)).astype(np.int32)
    choices, box = crop_box.uniforms(seeds)
    assert choices.shape == (5, 3, COUNT)
    one, other = crop_box.uniforms(seeds[4, 1])
    np.testing.assert_array_equal(choices[4, 1], one)
    np.testing.assert_array_equal(box[4, 1], other)
    numbers = np.concatenate([choices, box], axis=-1)
    assert len(np.unique(numbers)) > 0.999 * numbers.size
    assert 0 <= numbers.min() and numbers.max() < 1
    many = np.concatenate(crop_box.uniforms(np.arange(20_000).reshape(-1, 2)), axis=-1)
    assert abs(many.mean() - 0.5) < 0.002  # seeds that differ in one bit: five standard errors
    correlation = np.corrcoef(many.T) - np.eye(many.shape[1])
    assert np.abs(correlation).max() < 0.05
