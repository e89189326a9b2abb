"""VICReg beside the official code's numbers, and its options beside their formulas."""

import functools
import itertools

import jax
import numpy as np
import pytest
from helpers.golden import check

from jax_bt import losses

# "auto" is one of the two: test_cost.py says which.
each_form = pytest.mark.parametrize("form", ["cross_correlation", "gram"])


@each_form
@pytest.mark.parametrize("name", ["8x16", "8x16_constcol", "16x24_coefs", "32x2048"])
def test_equals_the_reference(golden, name, form):
    g = golden(f"vicreg_loss_{name}")
    invariance, variance, covariance = map(float, g["coeffs"])
    out = check(
        lambda a, b: losses.vicreg(
            a,
            b,
            invariance_weight=invariance,
            variance_weight=variance,
            covariance_weight=covariance,
            form=form,
        ),
        (g["z_a"], g["z_b"]),
        g["loss"],
        (g["grad_a"], g["grad_b"]),
        float32=(1e-6, 2e-6),
    )
    expected = [g["loss"], g["sim_loss"], g["std_loss"], g["cov_loss"]]
    np.testing.assert_allclose(out, expected, rtol=1e-9)


@pytest.mark.parametrize("field, name", [(1, "sim"), (2, "std"), (3, "cov")])
def test_terms_have_the_references_gradients(golden, field, name):
    g = golden("vicreg_loss_8x16")
    with jax.enable_x64(True):
        term = jax.jit(jax.grad(lambda a, b: losses.vicreg(a, b)[field]))
        gradient = term(*(np.float64(g[z]) for z in ("z_a", "z_b")))
    np.testing.assert_allclose(gradient, g[f"grad_a_{name}"], rtol=1e-9, atol=1e-12)


@each_form
@pytest.mark.parametrize("name", ["8x16", "64x48"])
def test_equals_vibcreg(golden, name, form):
    g = golden(f"vibcreg_loss_{name}")
    out = check(
        lambda a, b: losses.vicreg(
            a, b, covariance_weight=200.0, halve_variance=False, correlation=True, form=form
        ),
        (g["z_a"], g["z_b"]),
        g["loss"],
        (g["grad_a"], g["grad_b"]),
        float32=(1e-5, 1e-5),
    )
    np.testing.assert_allclose(out, [g[t] for t in ("loss", "inv", "var", "cov")], rtol=1e-9)


def views(n=12, d=6, count=2, seed=0):
    random = np.random.default_rng(seed)
    common = random.normal(size=(n, d))
    scale = np.linspace(0.2, 1.5, d)
    return [(common + 0.5 * random.normal(size=(n, d))) * scale for _ in range(count)]


def formula(z_a, z_b, gamma=1.0, eps=1e-4):
    """The paper's three terms, its variance not halved."""
    variance = covariance = 0
    for z in (z_a, z_b):
        c = np.atleast_2d(np.cov(z.T))
        std = np.sqrt(np.diag(c) + eps)
        variance += np.mean(np.maximum(0, gamma - std))
        covariance += np.sum(c[~np.eye(len(c), dtype=bool)] ** 2) / len(c)
    return np.mean((z_a - z_b) ** 2), variance, covariance


def in_float64(*arrays, **options):
    with jax.enable_x64(True):
        out = jax.jit(functools.partial(losses.vicreg, **options))(*arrays)
        return jax.tree.map(float, out)


def test_the_papers_variance_is_twice_the_codes():
    whole = in_float64(*views(), halve_variance=False)
    half = in_float64(*views())
    np.testing.assert_allclose(whole[1:], formula(*views()))
    np.testing.assert_allclose(half.variance, whole.variance / 2)
    np.testing.assert_allclose(whole.loss - half.loss, 25 * half.variance)


@each_form
def test_standardized_embeddings(form):
    eps = 1e-4
    z = [(z - z.mean(0)) / np.sqrt(z.var(0, ddof=1) + eps) for z in views()]
    out = in_float64(*views(), normalize="std", halve_variance=False, form=form)
    np.testing.assert_allclose(out[1:], formula(*z))


@each_form
def test_unit_embeddings_have_a_smaller_target(form):
    z = [z / np.linalg.norm(z, axis=1, keepdims=True) for z in views()]
    out = in_float64(*views(), normalize="l2", halve_variance=False, gamma=2.0, form=form)
    np.testing.assert_allclose(out[1:], formula(*z, gamma=2 / np.sqrt(6)))


@each_form
def test_three_views_are_the_mean_over_pairs(form):
    three = views(count=3)
    pairs = [in_float64(a, b, form=form) for a, b in itertools.combinations(three, 2)]
    np.testing.assert_allclose(in_float64(*three, form=form), np.mean(pairs, axis=0))


@each_form
def test_widths_may_differ_without_invariance(form):
    (z_a, _), (z_b, _) = views(d=6), views(d=17)
    out = in_float64(z_a, z_b, invariance_weight=0, form=form)
    terms = [formula(z, z) for z in (z_a, z_b)]
    np.testing.assert_allclose(out[1:], [0, *np.mean(terms, axis=0)[1:] * [0.5, 1]])
    np.testing.assert_allclose(out.loss, 25 * out.variance + out.covariance)
    with pytest.raises(ValueError, match="z_b has shape .12, 17. but z_a has .12, 6."):
        losses.vicreg(z_a, z_b)


def test_widths_may_differ_on_several_devices():
    (z_a, _), (z_b, _) = views(n=16, d=6), views(n=16, d=17)
    mapped = jax.pmap(
        lambda a, b: losses.vicreg(a, b, invariance_weight=0, axis_name="x").loss, "x"
    )
    with jax.enable_x64(True):
        shards = mapped(z_a.reshape(8, 2, 6), z_b.reshape(8, 2, 17))
    np.testing.assert_allclose(shards, in_float64(z_a, z_b, invariance_weight=0).loss)


@each_form
def test_each_view_may_have_weights_of_its_own(form):
    """The terms of one view are those of a loss of that view and itself."""
    z_a, z_b = views()
    out = in_float64(z_a, z_b, variance_weight=(3.0, 5.0), covariance_weight=(0.5, 2.0), form=form)
    own = [formula(z, z) for z in (z_a, z_b)]
    weighted = [
        m * v / 4 + n * c / 2 for (_, v, c), m, n in zip(own, (3, 5), (0.5, 2), strict=True)
    ]
    np.testing.assert_allclose(out.loss, 25 * out.invariance + sum(weighted))
    np.testing.assert_allclose(out[1:], in_float64(z_a, z_b, form=form)[1:])
    with pytest.raises(ValueError, match="3 weights for 2 views: give one, or one each"):
        losses.vicreg(z_a, z_b, variance_weight=(1.0, 2.0, 3.0))


def test_eps_zero_has_no_nan():
    a, b = (np.float32(z) for z in views())
    a[:, 0] = 1
    for normalize in ("none", "std"):
        value, gradient = jax.value_and_grad(
            lambda a, n=normalize: losses.vicreg(a, b, eps=0.0, normalize=n).loss
        )(a)
        assert np.isfinite(value) and np.all(np.isfinite(gradient))


@pytest.mark.parametrize(
    "options, message",
    [({"form": "kernel"}, "form='kernel' is unknown"), ({"normalize": "batch"}, "choose one of")],
)
def test_unknown_options_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        losses.vicreg(*views(), **options)


def test_one_example_is_refused():
    with pytest.raises(ValueError, match="N=1"):
        losses.vicreg(*(z[:1] for z in views()))
