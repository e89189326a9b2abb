"""FroSSL beside the authors' and lightly's numbers, in both forms."""

import jax
import numpy as np
import pytest
from helpers.golden import check

from jax_bt import losses

each_file = pytest.mark.parametrize("name", ["frossl_loss_64x24_v3", "frossl_loss_12x20_v2"])


@each_file
@pytest.mark.parametrize("form", ["cross_correlation", "gram"])
@pytest.mark.parametrize("convention", ["author", "lightly", "author_paper"])
def test_equals_the_reference(golden, name, convention, form):
    g = golden(name)
    views = g["z"][:2] if convention == "author_paper" else g["z"]
    own = "author" if convention == "lightly" else convention  # equal in the file, to 1e-15
    out = check(
        lambda *z: losses.frossl(*z, invariance_weight=1.4, convention=convention, form=form),
        tuple(views),
        g[f"{convention}/loss"],
        tuple(g[f"{own}/grad"]),
        float32=(1e-5, 1e-5),
    )
    np.testing.assert_allclose(out.loss, out.frobenius + 1.4 * out.invariance, rtol=1e-12)


def test_uncorrelated_columns_are_the_minimum_and_equal_ones_the_maximum():
    q, _ = np.linalg.qr(np.random.default_rng(0).normal(size=(16, 5)))
    best = losses.frossl(*np.float32([q, q]))
    worst = losses.frossl(*np.float32([q[:, :1] * np.ones(5)] * 2))
    np.testing.assert_allclose(best.frobenius, -2 * np.log(5), rtol=1e-5)
    np.testing.assert_allclose(worst.frobenius, 0, atol=1e-5)
    assert best.invariance == worst.invariance == 0


def test_the_scale_of_a_column_does_not_matter():
    z = np.random.default_rng(0).normal(size=(3, 16, 5))
    scale = np.linspace(0.1, 7, 5)
    with jax.enable_x64(True):
        plain, scaled = losses.frossl(*z), losses.frossl(*z * scale)
        np.testing.assert_allclose(scaled, plain, rtol=1e-9)


@pytest.mark.parametrize(
    "options, message",
    [
        ({"form": "kernel"}, "form='kernel' is unknown"),
        ({"convention": "paper"}, "choose one of author, lightly, author_paper"),
    ],
)
def test_unknown_options_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        losses.frossl(*np.ones((2, 4, 3), np.float32), **options)
