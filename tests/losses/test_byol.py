"""BYOL's loss beside solo-learn's numbers, and what a reader of its docstring expects."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers.conformance import DEFAULT, check_sharded, outside
from helpers.golden import check

from jax_bt import losses

NAMES = ("p1", "p2", "z1", "z2")


@pytest.mark.parametrize("shape", ["8x16", "64x128"])
def test_equals_the_reference(golden, shape):
    g = golden(f"byol_loss_{shape}")
    check(
        losses.byol,
        tuple(g[name] for name in NAMES),
        g["loss"],
        (g["grad_p1"], g["grad_p2"], None, None),
        float32=(1e-6, 1e-6),
    )


def test_each_prediction_meets_the_other_views_target():
    a, b = np.eye(4, dtype=np.float32)[:2, None]
    crossed = losses.byol(p_a=a, p_b=b, t_a=b, t_b=a).loss
    straight = losses.byol(p_a=a, p_b=b, t_a=a, t_b=b).loss
    opposite = losses.byol(p_a=a, p_b=b, t_a=-b, t_b=-a).loss
    np.testing.assert_allclose([crossed, straight, opposite], [0, 4, 8], atol=1e-6)


def test_value_and_terms_are_scalars_named_as_documented():
    x = jnp.ones((3, 2))
    out = losses.byol(x, x, x, x)
    assert out._fields == ("loss",) and out.loss.shape == ()


def test_with_negatives_it_is_nt_xent():
    """Where predictions are targets: the value, and without gradients through the keys."""
    z_a, z_b = np.random.default_rng(0).normal(size=(2, 6, 4))
    with jax.enable_x64(True):
        found = losses.byol(z_a, z_b, z_a, z_b, beta=1.0, temperature=0.3).loss
        expected = 4 + 4 * 0.3 * losses.nt_xent(z_a, z_b, temperature=0.3).loss
        np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_negatives_as_written_out():
    """One example after the other in numpy, beta 0.5."""
    p_a, p_b, t_a, t_b = np.random.default_rng(1).normal(size=(4, 5, 3))
    unit = [x / np.linalg.norm(x, axis=1, keepdims=True) for x in (p_a, p_b, t_a, t_b)]
    expected, temperature = 0.0, 0.2
    for p, own, other in ((unit[0], unit[2], unit[3]), (unit[1], unit[3], unit[2])):
        for i in range(5):
            scores = [p[i] @ own[j] for j in range(5) if j != i] + [p[i] @ key for key in other]
            negatives = np.log(np.sum(np.exp(np.array(scores) / temperature)))
            expected += (2 - 2 * p[i] @ other[i] + 2 * 0.5 * temperature * negatives) / 5
    with jax.enable_x64(True):
        found = losses.byol(p_a, p_b, t_a, t_b, beta=0.5, temperature=temperature).loss
    np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_negatives_are_those_of_all_devices():
    (plain,) = (case for case in DEFAULT if case.name == "byol")
    function = functools.partial(losses.byol, beta=1.0)
    check_sharded(dataclasses.replace(plain, function=function), outside, 4)


def test_shapes_must_agree():
    x = jnp.ones((3, 2))
    with pytest.raises(ValueError, match=r"t_b has shape \(3, 1\) but p_a has \(3, 2\)"):
        losses.byol(x, x, x, x[:, :1])
