"""EMP-SSL's coding rate beside the authors' and lightly's numbers."""

import jax
import numpy as np
import pytest
from helpers.golden import check

from jax_bt import losses

each_file = pytest.mark.parametrize("name", ["empssl_loss_6x32x16", "empssl_loss_4x8x12_eps05"])


@each_file
def test_equals_the_reference(golden, name):
    g = golden(name)
    out = check(
        lambda *z: losses.tcr(*z, eps=float(g["eps"])),
        tuple(g["z"]),
        g["author/loss"],
        tuple(g["author/grad"]),
        float32=(1e-5, 1e-5),
    )
    np.testing.assert_allclose(out, [g[f"author/{t}"] for t in ("loss", "sim", "tcr")], rtol=1e-9)


@each_file
def test_the_rates_gradient_and_lightlys_sign(golden, name):
    g = golden(name)
    with jax.enable_x64(True):
        z, eps = np.float64(g["z"]), float(g["eps"])
        gradient = np.asarray(jax.jit(jax.grad(lambda z: losses.tcr(*z, eps=eps).tcr))(z))
        lightly = losses.tcr(*z, eps=eps, convention="lightly")
        np.testing.assert_allclose(lightly.loss, g["lightly/loss"], rtol=1e-9)
        np.testing.assert_allclose(lightly.tcr, g["lightly/tcr"], rtol=1e-9)
    scale = np.max(np.abs(g["author/grad_tcr"]))
    np.testing.assert_allclose(gradient, g["author/grad_tcr"], rtol=0, atol=1e-9 * scale)


def test_more_dimensions_than_examples():
    z = np.random.default_rng(0).normal(size=(3, 16, 24))
    sign, rate = np.linalg.slogdet(np.eye(24) + 24 / 16 / 0.2 * z.mT @ z)
    assert np.all(sign > 0)
    with jax.enable_x64(True):
        np.testing.assert_allclose(losses.tcr(*z).tcr, -np.mean(rate) / 2, rtol=1e-9)


def test_refuses():
    z = np.ones((2, 4, 3), np.float32)
    with pytest.raises(ValueError, match="eps=0 must be above 0"):
        losses.tcr(*z, eps=0)
    with pytest.raises(ValueError, match="choose one of author, lightly"):
        losses.tcr(*z, convention="paper")
