"""TiCo beside lightly's and TiCo-pytorch's numbers, step after step."""

import jax
import numpy as np
import pytest
from helpers.golden import check

from jax_bt import losses


@pytest.mark.parametrize("name", ["tico_loss_32x16", "tico_loss_8x12_rho20"])
@pytest.mark.parametrize("convention", ["lightly", "sayannag"])
def test_equals_the_reference_step_by_step(golden, name, convention):
    g = golden(name)
    options = {"rho": float(g["rho"]), "beta": float(g["beta"]), "convention": convention}
    C = None
    for step, (z_a, z_b) in enumerate(zip(g["z_a"], g["z_b"], strict=True)):
        kept = C

        def loss(z_a, z_b, kept=kept):
            return losses.tico(
                z_a, z_b, None if kept is None else kept.astype(z_a.dtype), **options
            )

        out = check(
            loss,
            (z_a, z_b),
            g[f"{convention}/loss"][step],
            (g[f"{convention}/grad_a"][step], None),
            float32=(1e-5, 1e-5),
        )
        C = out.C
        np.testing.assert_allclose(C, g["lightly/C"][step], rtol=1e-9, atol=1e-12)
        np.testing.assert_allclose(out.loss, out.invariance + options["rho"] * out.contrast)


def test_the_state_carries_no_gradient():
    z = np.random.default_rng(0).normal(size=(2, 8, 5)).astype(np.float32)
    gradient = jax.jit(jax.grad(lambda z: losses.tico(*z).C.sum()))(z)
    assert not np.any(gradient)


def test_refuses():
    z = np.ones((2, 4, 3), np.float32)
    with pytest.raises(ValueError, match=r"C has shape \(4, 4\): expected .* D=3"):
        losses.tico(*z, np.eye(4, dtype=np.float32))
    with pytest.raises(ValueError, match="convention='paper' is unknown"):
        losses.tico(*z, convention="paper")
