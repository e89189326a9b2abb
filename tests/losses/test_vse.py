"""VSE++'s hinge loss beside fartashf/vsepp's ContrastiveLoss."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers.golden import check

from jax_bt import losses

each_file = pytest.mark.parametrize("name", ["8x16", "32x24"])


@each_file
@pytest.mark.parametrize("hardest", [True, False])
def test_equals_the_reference(golden, name, hardest):
    """Float32 sums 2 N^2 hinges of numbers near 1: some 1e-6."""
    g = golden(f"vse_loss_{name}")
    kind = "max_violation" if hardest else "sum"
    check(
        functools.partial(losses.vse, margin=float(g["margin"]), hardest=hardest),
        (g["im"], g["s"]),
        g[f"{kind}/loss"],
        (g[f"{kind}/grad_im"], g[f"{kind}/grad_s"]),
        float32=(5e-6, 1e-5),
    )


def test_a_pair_far_from_the_others_costs_nothing():
    z = jnp.eye(4)
    value, gradient = jax.jit(jax.value_and_grad(lambda z: losses.vse(z, z).loss))(z)
    assert value == 0 and np.all(gradient == 0)


def test_directions():
    """Two captions of which the second is everybody's nearest: only images see it as too near."""
    a, b = jnp.array([[1.0, 0.0], [0.0, 1.0]]), jnp.array([[0.6, 0.8], [0.0, 1.0]])
    out = losses.vse(a, b)
    # Images: 0.2 - 0.6 + 0 < 0, 0.2 - 1 + 0.8 = 0. Captions: 0.2 - 0.6 + 0.8, 0.2 - 1 + 0 < 0.
    np.testing.assert_allclose([out.loss_ab, out.loss_ba], [0.0, 0.4], atol=1e-6)
    np.testing.assert_allclose(out.loss, 0.4, atol=1e-6)


def test_a_margin_of_nothing_is_refused():
    with pytest.raises(ValueError, match="margin=0.0 must be above 0"):
        losses.vse(jnp.eye(2), jnp.eye(2), margin=0.0)
