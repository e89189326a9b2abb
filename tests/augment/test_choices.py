"""The choices of a view: their distribution, their slots, the same for every array library."""

import jax.numpy as jnp
import numpy as np
import pytest
import tensorflow as tf

from jax_bt import augment
from jax_bt.augment import Affine, CenterCrop, Crop, Jitter, Noise, Recipe
from jax_bt.augment.choices import COUNT, ORDERS, parameters

N = 20_000


@pytest.fixture(scope="module")
def uniform():
    return np.random.default_rng(0).uniform(size=(COUNT, N)).astype(np.float32)


def test_probabilities_are_the_recipes(uniform):
    for name in ("barlow", "vicreg_paper", "simclr", "w_mse"):
        for view in augment.recipes(name):
            chosen = parameters(view, uniform)
            for kind in ("flip", "jitter", "grayscale", "blur", "solarize"):
                part = view.get(augment.PARTS[kind])
                if part is None:
                    assert kind not in chosen
                else:  # four standard errors
                    error = 4 * np.sqrt(part.p * (1 - part.p) / N)
                    assert abs(chosen[kind].mean() - part.p) <= error


def test_factors_are_uniform_in_their_ranges(uniform):
    view = augment.recipes("barlow")[1]
    chosen = parameters(view, uniform)
    for name, low, high in (
        ("brightness", 0.6, 1.4),
        ("contrast", 0.6, 1.4),
        ("saturation", 0.8, 1.2),
        ("hue", -0.1, 0.1),
        ("sigma", 0.1, 2.0),
    ):
        numbers = np.sort(chosen[name])
        assert low <= numbers[0] and numbers[-1] <= high + 1e-6
        np.testing.assert_allclose(numbers, np.linspace(low, high, N), atol=0.02 * (high - low))


def test_strong_factors_stop_at_zero(uniform):
    chosen = parameters(Recipe(8, (Crop(), Jitter(brightness=1.5, contrast=1.5))), uniform)
    assert chosen["brightness"].min() >= 0
    assert chosen["contrast"].max() > 2.45


def test_additive_brightness_is_a_difference(uniform):
    chosen = parameters(augment.recipes("simclr_v1")[0], uniform)["brightness"]
    assert -0.8 <= chosen.min() < -0.79
    assert 0.79 < chosen.max() <= 0.8


def test_all_orders_are_as_likely(uniform):
    rows = parameters(augment.recipes("barlow")[0], uniform)["order"].astype(int)
    counts = np.bincount(rows, minlength=24)
    assert len(counts) == len(ORDERS) == 24
    assert np.square(counts - N / 24).sum() / (N / 24) < 50  # chi-squared, 23 degrees: p = 0.001


def test_digits_numbers(uniform):
    view = Recipe(8, (CenterCrop(), Affine(15.0, (0.8, 1.2), 0.1), Noise((0.0, 0.1))))
    chosen = parameters(view, uniform)
    assert np.abs(chosen["angle"]).max() <= np.radians(15) + 1e-6
    assert 0.8 <= chosen["zoom"].min() and chosen["zoom"].max() <= 1.2
    assert np.abs(chosen["shift_y"]).max() <= 0.1 >= np.abs(chosen["shift_x"]).max()
    assert chosen["noise"].all() and chosen["affine"].all()
    assert chosen["std"].max() <= 0.1


def test_choices_do_not_share_numbers(uniform):
    recipe = Recipe(8, (*augment.recipes("barlow")[1].parts, Affine(p=0.5), Noise(p=0.5)))
    chosen = {k: np.asarray(v, float) for k, v in parameters(recipe, uniform).items()}
    assert len(chosen) == COUNT
    correlation = np.corrcoef(np.stack(list(chosen.values()))) - np.eye(COUNT)
    assert np.abs(correlation).max() < 0.03


def test_removing_a_part_leaves_the_other_choices(uniform):
    whole = parameters(augment.recipes("barlow")[1], uniform)
    less = parameters(augment.recipes("barlow_no_color")[1], uniform)
    assert set(less) == {"flip", "blur", "sigma", "solarize"}
    for name, values in less.items():
        np.testing.assert_array_equal(values, whole[name])


def test_same_numbers_in_every_library(uniform):
    for view in (*augment.recipes("barlow"), *augment.recipes("digits")):
        few = uniform[:, :50]
        reference = parameters(view, few)
        for other in (parameters(view, jnp.asarray(few)), parameters(view, tf.constant(few))):
            assert other.keys() == reference.keys()
            for name, values in reference.items():
                np.testing.assert_allclose(other[name], values, rtol=1e-6, atol=1e-7)
