"""CorInfoMax beside the authors' numbers, step after step, and its state on several devices."""

import jax
import numpy as np
import pytest
from helpers.golden import check
from jax.sharding import PartitionSpec as P

from jax_bt import losses

each_file = pytest.mark.parametrize("name", ["corinfomax_loss_64x16", "corinfomax_loss_16x24_unit"])


def options(g):
    return {key: float(g[key]) for key in ("la", "sim_weight", "R_eps")}


@each_file
def test_equals_the_reference_step_by_step(golden, name):
    g = golden(name)
    state = None
    for step, (z_a, z_b) in enumerate(zip(g["z_a"], g["z_b"], strict=True)):
        kept = state

        def loss(z_a, z_b, kept=kept):
            kept = jax.tree.map(lambda x: x.astype(z_a.dtype), kept)
            return losses.cor_info_max(z_a, z_b, state=kept, **options(g))

        out = check(
            loss,
            (z_a, z_b),
            g["cifar/loss"][step],
            (g["cifar/grad_a"][step], g["cifar/grad_b"][step]),
            # R has a condition number of up to 151, which multiplies float32's rounding.
            float32=(1e-5, 1e-4),
        )
        np.testing.assert_allclose(out.cov, g["cifar/cov"][step], rtol=1e-9)
        np.testing.assert_allclose(out.loss, options(g)["sim_weight"] * out.mse + out.cov)
        state = out.state
    np.testing.assert_allclose(state.R[0], g["cifar/R1"], rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(state.mu[0], g["cifar/mu1"], rtol=1e-9, atol=1e-12)


@each_file
def test_one_covariance_of_both_views(golden, name):
    g = golden(name)
    state = None
    with jax.enable_x64(True):
        for step, z in enumerate(zip(g["z_a"], g["z_b"], strict=True)):
            out = losses.cor_info_max(
                *map(np.float64, z), state=state, convention="imagenet18", **options(g)
            )
            np.testing.assert_allclose(out.cov, g["imagenet18/cov"][step], rtol=1e-9)
            state = out.state
    assert state.R.shape[0] == state.mu.shape[0] == 1


@pytest.mark.parametrize("convention", ["cifar", "imagenet18"])
def test_a_later_step_means_the_same_on_eight_devices(convention):
    z = np.random.default_rng(0).normal(size=(2, 2, 16, 5))

    def two_steps(z, axis_name=None):
        given = {"convention": convention, "axis_name": axis_name}
        first = losses.cor_info_max(*z[0], **given)
        return losses.cor_info_max(*z[1], state=first.state, **given)

    with jax.enable_x64(True):
        mapped = jax.shard_map(
            lambda z: two_steps(z, "i"),
            mesh=jax.make_mesh((8,), ("i",), (jax.sharding.AxisType.Auto,)),
            in_specs=P(None, None, "i"),
            out_specs=P(),
        )
        expected = jax.tree.leaves(jax.jit(two_steps)(z))
        for ours, one in zip(jax.tree.leaves(jax.jit(mapped)(z)), expected, strict=True):
            np.testing.assert_allclose(ours, one, rtol=1e-9, atol=1e-12)
        gradient = jax.jit(jax.grad(lambda z: mapped(z).loss))(z)
        one = jax.jit(jax.grad(lambda z: two_steps(z).loss))(z)
        np.testing.assert_allclose(gradient, one, rtol=1e-9, atol=1e-12)
        assert not np.any(gradient[0])  # the state carries none


def test_refuses():
    z = np.ones((2, 4, 3), np.float32)
    state = losses.cor_info_max(*z).state
    with pytest.raises(ValueError, match=r"R \(2, 3, 3\) and mu \(2, 3\): expected \(1, 3, 3\)"):
        losses.cor_info_max(*z, state=state, convention="imagenet18")
    with pytest.raises(ValueError, match="R_eps=0.0 must be above 0"):
        losses.cor_info_max(*z, R_eps=0.0)
    with pytest.raises(ValueError, match="choose one of cifar, imagenet18"):
        losses.cor_info_max(*z, convention="tiny")
