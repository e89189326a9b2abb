"""DirectCLR beside facebookresearch/directclr's loss, and lightly's as the NT-Xent that it is."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers.golden import check

from jax_bt import losses

each_file = pytest.mark.parametrize("name", ["8x24_d10", "32x64_d20"])


@each_file
def test_equals_the_reference(golden, name):
    g = golden(f"directclr_loss_{name}")
    check(
        functools.partial(
            losses.direct_clr, dimensions=int(g["d"]), temperature=float(g["temperature"])
        ),
        (g["r_a"], g["r_b"]),
        g["loss"],
        (g["grad_a"], g["grad_b"]),
        float32=(2e-6, 5e-6),
    )


@each_file
def test_directions_and_the_baseline_of_all_features(golden, name):
    g = golden(f"directclr_loss_{name}")
    with jax.enable_x64(True):
        views = [jnp.asarray(g[key], jnp.float64) for key in ("r_a", "r_b")]
        some = losses.direct_clr(*views, dimensions=int(g["d"]))
        # The file has eight decimals.
        np.testing.assert_allclose(some.loss_ab, g["loss_ab"], atol=1e-8)
        np.testing.assert_allclose(losses.direct_clr(*views).loss, g["loss_baseline"], atol=1e-8)
        leading = [view[:, : int(g["d"])] for view in views]
        lightly = losses.nt_xent(*leading, temperature=float(g["temperature"])).loss
        np.testing.assert_allclose(lightly, g["lightly/loss"], atol=1e-8)


def test_the_other_features_have_no_gradient():
    r = jax.random.normal(jax.random.key(0), (6, 5))
    gradient = jax.jit(jax.grad(lambda r: losses.direct_clr(r, r[::-1], dimensions=3).loss))(r)
    assert np.all(gradient[:, 3:] == 0) and np.all(np.any(gradient[:, :3] != 0, axis=0))


@pytest.mark.parametrize("dimensions", [0, 6])
def test_dimensions_are_some_of_those_there(dimensions):
    with pytest.raises(ValueError, match=f"dimensions={dimensions} of representations of width 5"):
        losses.direct_clr(jnp.eye(5), jnp.eye(5), dimensions=dimensions)
