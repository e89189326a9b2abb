"""Properties of the losses of covariances: W-MSE and IMAX."""

import jax
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from jax_bt import losses
from jax_bt.losses.w_mse import whiten

N, D = 12, 4
seeds = st.integers(0, 2**32 - 1)
examples = settings(max_examples=25, deadline=None, derandomize=True)

W_MSE = jax.jit(lambda a, b: losses.w_mse(a, b, whitening_size=N).loss)
IMAX = jax.jit(losses.imax)
WHITEN = jax.jit(whiten)


def views(seed):
    random = np.random.default_rng(seed)
    signal = random.normal(size=(N, D))
    return [signal + 0.5 * random.normal(size=(N, D)) for _ in range(2)]


def wide(function, *args):
    with jax.enable_x64(True):
        return jax.tree.map(np.asarray, function(*args))


def lower_triangular(random):
    return np.tril(random.normal(size=(D, D)), -1) + np.diag(random.uniform(0.5, 2, D))


@examples
@given(seed=seeds, exponent=st.integers(-6, 6), shift=st.floats(-10, 10))
def test_whitened_rows_have_identity_covariance_at_any_scale(seed, exponent, shift):
    y = wide(WHITEN, 10.0**exponent * (views(seed)[0] + shift))
    np.testing.assert_allclose(np.mean(y, axis=0), 0, atol=1e-8)
    np.testing.assert_allclose(np.cov(y.T), np.eye(D), atol=1e-8)


@examples
@given(seed=seeds)
def test_w_mse_does_not_see_triangular_maps_and_shifts_of_a_view(seed):
    """The Cholesky factor of A C A^T is A L for a lower triangular A of positive diagonal."""
    a, b = views(seed)
    random = np.random.default_rng(seed)
    mapped = a @ lower_triangular(random).T + random.normal(size=D)
    np.testing.assert_allclose(wide(W_MSE, mapped, b), wide(W_MSE, a, b), rtol=1e-8)


@examples
@given(seed=seeds)
def test_w_mse_is_a_symmetric_distance_of_directions(seed):
    a, b = views(seed)
    value = wide(W_MSE, a, b)
    assert 0 < value < 4
    np.testing.assert_allclose(wide(W_MSE, b, a), value, rtol=1e-12)
    np.testing.assert_allclose(wide(W_MSE, a, a), 0, atol=1e-12)
    np.testing.assert_allclose(wide(W_MSE, a, -a), 4, rtol=1e-12)


@examples
@given(seed=seeds)
def test_imax_does_not_see_rotations_and_shifts(seed):
    a, b = views(seed)
    random = np.random.default_rng(seed)
    rotation, _ = np.linalg.qr(random.normal(size=(D, D)))
    turned = wide(IMAX, a @ rotation + random.normal(size=D), b @ rotation)
    np.testing.assert_allclose(turned, wide(IMAX, a, b), rtol=1e-8)


@examples
@given(seed=seeds)
def test_imax_changes_sign_with_a_view_and_is_symmetric(seed):
    a, b = views(seed)
    loss, difference, total = wide(IMAX, a, b)
    np.testing.assert_allclose(wide(IMAX, a, -b), (-loss, total, difference), rtol=1e-9)
    np.testing.assert_allclose(wide(IMAX, b, a), (loss, difference, total), rtol=1e-9)


@examples
@given(seed=seeds, share=st.floats(0.1, 0.9))
def test_imax_falls_as_a_view_moves_towards_the_other(seed, share):
    a, b = views(seed)
    # The mean stays, so the second term stays, while the difference shrinks by 1 - share.
    middle = (a + b) / 2
    nearer = [middle + (1 - share) * (x - middle) for x in (a, b)]
    far, near = wide(IMAX, a, b), wide(IMAX, *nearer)
    assert near.loss < far.loss and near.difference < far.difference
    np.testing.assert_allclose(near.total, far.total, rtol=1e-9)
