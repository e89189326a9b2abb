"""Properties of Barlow Twins and VICReg, for any batch: both forms, in float64."""

import functools

import jax
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jax_bt import losses

N, D = 12, 5
quick = settings(max_examples=15, deadline=None, derandomize=True)
seeds = st.integers(0, 2**32 - 1)
each_form = pytest.mark.parametrize("form", ["cross_correlation", "gram"])
each_loss = pytest.mark.parametrize("loss", ["barlow_twins", "vicreg"])


@functools.cache
def step(loss, form, eps):
    def value(a, b):
        out = getattr(losses, loss)(a, b, form=form, eps=eps)
        return out.loss, out

    return jax.jit(jax.value_and_grad(value, argnums=(0, 1), has_aux=True))


def run(loss, form, a, b, eps=1e-4):
    """Terms and gradients in float64."""
    with jax.enable_x64(True):
        (_, out), gradients = jax.tree.map(np.asarray, step(loss, form, eps)(a, b))
    return out, gradients


def views(seed):
    random = np.random.default_rng(seed)
    common = random.normal(size=(N, D))
    return [common + 0.7 * random.normal(size=(N, D)) for _ in range(2)] + [random]


def whitened(random, n=N, d=D):
    """Columns of mean 0 and variance 1 that do not correlate."""
    q, _ = np.linalg.qr(np.c_[np.ones(n), random.normal(size=(n, d))])
    return q[:, 1:] * np.sqrt(n)


@each_form
@quick
@given(seed=seeds)
def test_barlow_twins_ignores_an_affine_map_of_each_column_of_each_view(form, seed):
    a, b, random = views(seed)
    stretch, shift = random.uniform(0.1, 10, size=(2, D)), random.normal(size=(2, D)) * 10
    plain, _ = run("barlow_twins", form, a, b, eps=0.0)
    mapped, _ = run(
        "barlow_twins", form, a * stretch[0] + shift[0], b * stretch[1] + shift[1], eps=0.0
    )
    np.testing.assert_allclose(mapped, plain, rtol=1e-9)
    # A change of sign in one view turns the correlations round: the redundancy stays.
    turned, _ = run("barlow_twins", form, -a, b, eps=0.0)
    np.testing.assert_allclose(turned.redundancy, plain.redundancy, rtol=1e-9)
    assert turned.invariance > plain.invariance


@each_form
@quick
@given(seed=seeds)
def test_losses_vanish_for_whitened_views_that_agree(form, seed):
    z = whitened(np.random.default_rng(seed)) * np.sqrt(1.1)  # room for VICReg's N - 1 and eps
    for loss in ("barlow_twins", "vicreg"):
        out, gradients = run(loss, form, z, z, eps=0.0)
        np.testing.assert_allclose(out, np.zeros(len(out)), atol=1e-12)
        np.testing.assert_allclose(gradients, np.zeros((2, N, D)), atol=1e-12)


@each_form
@quick
@given(seed=seeds)
def test_vicreg_ignores_where_both_views_are(form, seed):
    a, b, random = views(seed)
    shift = random.normal(size=(2, D)) * 100
    plain, _ = run("vicreg", form, a, b)
    together, _ = run("vicreg", form, a + shift[0], b + shift[0])
    np.testing.assert_allclose(together, plain, rtol=1e-8)
    apart, _ = run("vicreg", form, a + shift[0], b + shift[1])
    np.testing.assert_allclose(apart[2:], plain[2:], rtol=1e-8)
    moved = np.mean((a - b + shift[0] - shift[1]) ** 2)
    np.testing.assert_allclose(apart.invariance, moved, rtol=1e-8)


@each_form
@quick
@given(seed=seeds, far=st.floats(0.5, 3), farther=st.floats(1.2, 3))
def test_terms_grow_with_what_they_measure(form, seed, far, farther):
    _, _, random = views(seed)
    z, other = np.split(whitened(random, N, 2 * D), 2, axis=1)
    # Mixing in an uncorrelated view of the same variance lowers the agreement, and that alone.
    turns = [
        run("barlow_twins", form, z, np.cos(angle) * z + np.sin(angle) * other)[0]
        for angle in (0, far / 3, (far + farther) / 3)
    ]
    assert turns[0].invariance < turns[1].invariance < turns[2].invariance
    # Tying the columns of both views together raises the redundancy.
    tied = [
        run("barlow_twins", form, *[z + weight * z[:, :1]] * 2)[0].redundancy
        for weight in (0, far, far * farther)
    ]
    assert tied[0] < tied[1] < tied[2]
    near, away = (
        run("vicreg", form, z, z + distance * other)[0] for distance in (far, far * farther)
    )
    np.testing.assert_allclose(away.invariance / near.invariance, farther**2, rtol=1e-9)
    # Shrinking below gamma raises the variance; stretching raises the covariance by the 4th power.
    small, smaller = (run("vicreg", form, z / s, z / s)[0] for s in (2, 2 * farther))
    assert 0 < small.variance < smaller.variance < 1
    skew = z + 0.5 * z[:, :1]
    large, larger = (run("vicreg", form, s * skew, s * skew)[0] for s in (1, farther))
    np.testing.assert_allclose(larger.covariance / large.covariance, farther**4, rtol=1e-8)


@each_form
@each_loss
@quick
@given(seed=seeds)
def test_gradients_equal_central_differences(loss, form, seed):
    a, b, random = views(seed)
    _, gradients = run(loss, form, a, b)
    direction = random.normal(size=(2, N, D))
    width = 1e-5
    above, below = (
        run(loss, form, a + s * direction[0], b + s * direction[1])[0].loss for s in (width, -width)
    )
    slope = np.sum(np.asarray(gradients) * direction)
    scale = np.linalg.norm(gradients) * np.linalg.norm(direction)
    np.testing.assert_allclose(slope, (above - below) / (2 * width), rtol=1e-6, atol=1e-8 * scale)


@each_form
@each_loss
@quick
@given(seed=seeds)
def test_views_may_change_places(loss, form, seed):
    a, b, _ = views(seed)
    straight, (grad_a, grad_b) = run(loss, form, a, b)
    swapped, (swapped_b, swapped_a) = run(loss, form, b, a)
    np.testing.assert_allclose(swapped, straight, rtol=1e-12)
    np.testing.assert_allclose([swapped_a, swapped_b], [grad_a, grad_b], rtol=1e-9, atol=1e-14)
