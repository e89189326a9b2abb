"""Properties of SwAV's codes and loss."""

import functools

import jax
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from jax_bt import losses

C, N, K = 3, 12, 4
seeds = st.integers(0, 2**32 - 1)
examples = settings(max_examples=25, deadline=None, derandomize=True)


def scores(seed):
    return np.random.default_rng(seed).uniform(-1, 1, (C, N, K))


@functools.partial(jax.jit, static_argnames="iterations")
def swav(x, epsilon=0.05, iterations=3):
    return losses.swav(x, epsilon=epsilon, iterations=iterations)


def wide(x, **options):
    with jax.enable_x64(True):
        return jax.tree.map(np.asarray, swav(x, **options))


@examples
@given(seed=seeds, epsilon=st.floats(0.02, 1.0))
def test_each_examples_code_sums_to_one(seed, epsilon):
    codes = wide(scores(seed), epsilon=epsilon).codes
    np.testing.assert_allclose(np.sum(codes, axis=-1), 1, rtol=1e-12)
    assert np.all(codes >= 0)


@examples
@given(seed=seeds)
def test_prototypes_are_used_equally_after_enough_iterations(seed):
    codes = wide(scores(seed), epsilon=0.5, iterations=40).codes
    np.testing.assert_allclose(np.sum(codes, axis=1), N / K, rtol=1e-6)


@examples
@given(seed=seeds, shift=st.floats(-100, 100))
def test_a_constant_more_changes_nothing(seed, shift):
    plain, shifted = wide(scores(seed)), wide(scores(seed) + shift)
    np.testing.assert_allclose(shifted.codes, plain.codes, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(shifted.loss, plain.loss, rtol=1e-9)


@examples
@given(seed=seeds)
def test_prototypes_have_no_order(seed):
    order = np.random.default_rng(seed).permutation(K)
    plain, permuted = wide(scores(seed)), wide(scores(seed)[..., order])
    np.testing.assert_allclose(permuted.codes, plain.codes[..., order], rtol=1e-9, atol=1e-15)
    np.testing.assert_allclose(permuted.loss, plain.loss, rtol=1e-12)


@examples
@given(seed=seeds)
def test_loss_is_at_least_the_entropy_of_the_codes(seed):
    out = wide(scores(seed))
    entropy = -np.mean(np.sum(out.codes * np.log(out.codes + 1e-300), axis=-1))
    assert out.loss >= entropy - 1e-12


@examples
@given(seed=seeds)
def test_a_lower_epsilon_sharpens_the_codes(seed):
    soft, sharp = (wide(scores(seed), epsilon=e).codes for e in (0.5, 0.05))
    assert np.mean(np.max(sharp, axis=-1)) > np.mean(np.max(soft, axis=-1))
