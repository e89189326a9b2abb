"""Barlow Twins beside the official code's numbers, and its options beside their formulas."""

import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers.golden import check

from jax_bt import losses

# "auto" is one of the two: test_cost.py says which.
each_form = pytest.mark.parametrize("form", ["cross_correlation", "gram"])


@each_form
@pytest.mark.parametrize(
    "name", ["8x16", "8x16_constcol", "16x24_offset", "64x128_indep", "32x2048"]
)
def test_equals_the_reference(golden, name, form):
    g = golden(f"barlow_loss_{name}")
    out = check(
        lambda a, b: losses.barlow_twins(a, b, lambd=float(g["lambd"]), form=form),
        (g["z_a"], g["z_b"]),
        g["loss"],
        (g["grad_a"], g["grad_b"]),
        float32=(1e-6, 2e-6),
    )
    np.testing.assert_allclose(out.invariance, g["on_diag"], rtol=1e-9)
    np.testing.assert_allclose(out.redundancy, g["off_diag"], rtol=1e-9)


@each_form
@pytest.mark.parametrize("off_diagonal", ["zero", "neg_one"])
@pytest.mark.parametrize("name", ["8x16", "64x32"])
def test_equals_barlow_twins_hsic(golden, name, off_diagonal, form):
    g = golden(f"bthsic_loss_{name}")
    out = check(
        lambda a, b: losses.barlow_twins(
            a,
            b,
            lambd=float(g["lambd"]),
            off_diagonal=off_diagonal,
            ddof=1,
            eps=0.0,
            form=form,
        ),
        (g["z_a"], g["z_b"]),
        g[f"{off_diagonal}/loss"],
        (g[f"{off_diagonal}/grad_a"], g[f"{off_diagonal}/grad_b"]),
        float32=(1e-5, 1e-5),
    )
    expected = [g[f"{off_diagonal}/{term}"] for term in ("loss", "on_diag", "off_diag")]
    np.testing.assert_allclose(out, expected, rtol=1e-9)


def views(n=12, d=6, count=2, seed=0):
    random = np.random.default_rng(seed)
    common = random.normal(size=(n, d))
    return [common + 0.5 * random.normal(size=(n, d)) + 2 for _ in range(count)]


def standardized(z, eps=1e-5):
    return (z - z.mean(0)) / np.sqrt(z.var(0) + eps)


def off_diagonal(c):
    return c[~np.eye(len(c), dtype=bool)]


def in_float64(*arrays, **options):
    with jax.enable_x64(True):
        out = jax.jit(functools.partial(losses.barlow_twins, **options))(*arrays)
        return jax.tree.map(float, out)


def test_one_over_the_width_is_a_weight():
    out = in_float64(*views(), lambd="1/d")
    np.testing.assert_allclose(out, in_float64(*views(), lambd=1 / 6))
    np.testing.assert_allclose(out.loss, out.invariance + out.redundancy / 6)


@pytest.mark.parametrize("terms", ["invariance", "redundancy"])
def test_a_term_alone_is_the_loss(terms):
    both, one = in_float64(*views()), in_float64(*views(), terms=terms)
    assert one[1:] == both[1:]
    alone = {"invariance": both.invariance, "redundancy": 0.0051 * both.redundancy}
    np.testing.assert_allclose(one.loss, alone[terms])


@each_form
@pytest.mark.parametrize("normalize", ["features", "none"])
def test_other_normalizations(normalize, form):
    z_a, z_b = views()
    if normalize == "features":
        unit = [z / np.linalg.norm(z, axis=1, keepdims=True) for z in map(standardized, (z_a, z_b))]
        c = unit[0].T @ unit[1]
    else:
        c = (z_a - z_a.mean(0)).T @ (z_b - z_b.mean(0)) / len(z_a)
    out = in_float64(z_a, z_b, normalize=normalize, form=form)
    np.testing.assert_allclose(out.invariance, np.sum((np.diag(c) - 1) ** 2))
    np.testing.assert_allclose(out.redundancy, np.sum(off_diagonal(c) ** 2))


@each_form
def test_auto_correlation(form):
    z_a, z_b = views()
    cross = in_float64(z_a, z_b)
    own = [standardized(z).T @ standardized(z) / len(z) for z in (z_a, z_b)]
    out = in_float64(z_a, z_b, correlation="auto", form=form)
    np.testing.assert_allclose(out.invariance, cross.invariance)
    np.testing.assert_allclose(out.redundancy, np.mean([np.sum(off_diagonal(c) ** 2) for c in own]))


@each_form
def test_off_diagonal_of_minus_one_also_for_auto_correlation(form):
    z_a, z_b = views()
    own = [standardized(z).T @ standardized(z) / len(z) for z in (z_a, z_b)]
    out = in_float64(z_a, z_b, correlation="auto", off_diagonal="neg_one", form=form)
    expected = np.mean([np.sum((off_diagonal(c) + 1) ** 2) for c in own])
    np.testing.assert_allclose(out.redundancy, expected)


def test_cross_entropy_with_temperature():
    z_a, z_b = map(standardized, views())
    c = z_a.T @ z_b / len(z_a) / 0.1
    out = in_float64(*views(), temperature=0.1, lambd=0.3)
    np.testing.assert_allclose(out.invariance, -np.log(np.sum(np.exp(np.diag(c)))))
    expected = np.log(np.sum(np.exp(np.maximum(off_diagonal(c), 0))))
    np.testing.assert_allclose(out.redundancy, expected)
    np.testing.assert_allclose(out.loss, out.invariance + 0.3 * out.redundancy)


@pytest.mark.parametrize(
    "options",
    [
        {"form": "gram"},
        {"form": "cross_correlation"},
        {"correlation": "auto"},
        {"temperature": 0.2},
    ],
    ids=str,
)
def test_three_views_are_the_mean_over_pairs(options):
    three = views(count=3)
    pairs = [in_float64(a, b, **options) for a, b in itertools.combinations(three, 2)]
    np.testing.assert_allclose(in_float64(*three, **options), np.mean(pairs, axis=0))


def test_widths_may_differ_where_no_columns_meet():
    (z_a, _), (z_b, _) = views(d=6), views(d=4)
    out = in_float64(z_a, z_b, terms="redundancy", correlation="auto")
    own = [standardized(z).T @ standardized(z) / len(z) for z in (z_a, z_b)]
    np.testing.assert_allclose(out.redundancy, np.mean([np.sum(off_diagonal(c) ** 2) for c in own]))
    assert out.invariance == 0
    for options in ({}, {"terms": "redundancy"}, {"correlation": "auto"}):
        with pytest.raises(ValueError, match="z_b has shape .12, 4. but z_a has .12, 6."):
            losses.barlow_twins(z_a, z_b, **options)


def test_large_means_keep_their_digits():
    a, b = (np.float32(z) for z in views(n=64, d=32))
    plain, shifted = losses.barlow_twins(a, b), losses.barlow_twins(a + 4096, b - 4096)
    np.testing.assert_allclose(shifted, plain, rtol=1e-2)  # a - 4096 itself keeps 3 digits


def test_eps_zero_has_no_nan():
    a, b = (np.float32(z) for z in views())
    a[:, 0] = 1
    step = jax.value_and_grad(lambda a, b: losses.barlow_twins(a, b, eps=0.0).loss, (0, 1))
    value, gradients = step(a, b)
    assert np.isfinite(value) and all(np.all(np.isfinite(g)) for g in gradients)
    assert not np.any(gradients[0][:, 0])


@pytest.mark.parametrize(
    "options, message",
    [
        ({"form": "diagonal"}, "form='diagonal' is unknown: choose one of auto"),
        ({"terms": "none"}, "terms='none'"),
        ({"normalize": "rows"}, "normalize='rows'"),
        ({"correlation": "self"}, "correlation='self'"),
        ({"lambd": "1/D"}, "lambd='1/D'"),
        ({"temperature": 0.1, "form": "gram"}, "temperature needs another form"),
    ],
)
def test_unknown_options_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        losses.barlow_twins(*views(), **options)


@each_form
def test_one_dimension_has_no_redundancy(form):
    out = in_float64(*(z[:, :1] for z in views()), form=form)
    np.testing.assert_allclose(out.redundancy, 0, atol=1e-14)
    np.testing.assert_allclose(out.loss, out.invariance)
    with pytest.raises(ValueError, match="D=1"):
        losses.barlow_twins(*(z[:, :1] for z in views()), temperature=0.1)


def test_one_example_is_refused_and_two_shards_of_one_are_not():
    one = [z[:1] for z in views()]
    with pytest.raises(ValueError, match="N=1"):
        losses.barlow_twins(*one)
    two = np.stack([np.float32(z[:2, None]) for z in views()])
    mapped = jax.pmap(lambda a, b: losses.barlow_twins(a, b, axis_name="x").loss, "x")
    assert np.all(np.isfinite(mapped(*two)))


def test_weight_and_temperature_may_be_traced():
    @jax.jit
    def value(lambd, temperature):
        a, b = map(jnp.asarray, views())
        return losses.barlow_twins(a, b, lambd=lambd, temperature=temperature).loss

    plain = losses.barlow_twins(*views(), lambd=0.2, temperature=0.5).loss
    np.testing.assert_allclose(value(0.2, 0.5), plain, rtol=1e-6)
