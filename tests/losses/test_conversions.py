"""The exact conversions between conventions that docs/losses_family.md states."""

import jax
import numpy as np
import pytest

from jax_bt import losses

N, D = 16, 6


@pytest.fixture(autouse=True)
def float64():
    with jax.enable_x64(True):
        yield


@pytest.fixture
def z():
    random = np.random.default_rng(0)
    return random.normal(size=(N, D)) + 0.5 * random.normal(size=(3, N, D))


@pytest.fixture
def directions():
    return np.random.default_rng(1).normal(size=(D, 20))


def equal(actual, expected):
    np.testing.assert_allclose(actual, expected, rtol=1e-9)


def test_lejepa_of_global_views_alone_is_the_same_in_minimal_and_lightly(z, directions):
    minimal, lightly = (
        losses.lejepa(*z, directions=directions, convention=c) for c in ("minimal", "lightly")
    )
    equal(lightly, minimal)


def test_stables_weight_of_views_that_agree(z, directions):
    """Its sample of V N equal rows has V times the statistic of one view; there is no 1 - lam."""
    same = [z[0]] * 3
    stable = losses.lejepa(*same, directions=directions, lam=0.1, convention="stable")
    minimal = losses.lejepa(*same, directions=directions, lam=0.3 / 1.3)
    equal(stable.sigreg, 3 * minimal.sigreg)
    equal(stable.loss, 1.3 * minimal.loss)


def test_eb_jepas_pairs_and_missing_factor(z, directions):
    eb = losses.lejepa(*z[:2], directions=directions, convention="eb_jepa")
    minimal = losses.lejepa(*z[:2], directions=directions)
    equal(eb.inv, 4 * minimal.inv)
    equal(eb.inv, np.mean((z[0] - z[1]) ** 2))
    equal(eb.loss, eb.inv + 10 * eb.sigreg)
    # Two quadratures of one integral.
    np.testing.assert_allclose(N * eb.sigreg, minimal.sigreg, rtol=0.02)


def test_lightlys_coding_rate_with_the_right_sign(z):
    equal(losses.tcr(*z, tcr_weight=-1.0, convention="lightly").loss, losses.tcr(*z).loss)


def test_ticos_constant(z):
    lightly = losses.tico(*z[:2])
    equal(losses.tico(*z[:2], convention="sayannag").loss, lightly.loss - 1)


def test_mmcr_without_a_local_term_is_one_loss(z):
    author = losses.mmcr(*z, z_momentum=z + 1)
    equal(losses.mmcr(*z, z_momentum=z + 1, convention="lightly"), author)
    equal(losses.mmcr(*z, z_momentum=z + 1, convention="author_momentum"), author)


def test_correlations_of_a_deviation_over_n_minus_1(z):
    """C is (N - 1) / N of ours, so the redundancy's weight is ((N - 1) / N)^2 of theirs."""
    ours = losses.barlow_twins(*z[:2], eps=0.0)
    theirs = losses.barlow_twins(*z[:2], eps=0.0, ddof=1)
    equal(theirs.redundancy, ours.redundancy * ((N - 1) / N) ** 2)
    mixed = losses.mixed_barlow_twins(
        *z[:2], z[2], permutation=np.arange(N), alpha=0.5, lambd=0.0051, mixup_loss_scale=0.0
    )
    equal(mixed.loss, theirs.loss)


def test_other_scalings_of_vicregs_covariance(z):
    """eb_jepa: over D (D - 1), summed over views; VICRegL: over D, the mean over views."""
    covariances = [np.cov(view.T) for view in z[:2]]
    squares = [np.sum(c**2) - np.sum(np.diag(c) ** 2) for c in covariances]
    ours = losses.vicreg(*z[:2]).covariance
    equal(sum(squares) / (D * (D - 1)), ours / (D - 1))
    equal(np.mean(squares) / D, ours / 2)
