"""MMCR beside the authors' and lightly's numbers, also with a momentum network and sharded."""

import jax
import numpy as np
import pytest
from helpers.golden import check
from jax.sharding import PartitionSpec as P

from jax_bt import losses

each_file = pytest.mark.parametrize("name", ["mmcr_loss_48x16_k2", "mmcr_loss_12x20_k4"])


def by_view(z):
    return tuple(np.swapaxes(z, 0, 1))


@each_file
@pytest.mark.parametrize("suffix", ["lam0", "lam"])
@pytest.mark.parametrize("convention", ["author", "author_momentum", "lightly"])
def test_equals_the_reference(golden, name, convention, suffix):
    g = golden(name)
    lam = float(g["lam"]) if suffix == "lam" else 0.0

    def loss(*z):
        momentum = None if convention == "author" else by_view(g["z_momentum"].astype(z[0].dtype))
        return losses.mmcr(*z, z_momentum=momentum, lam=lam, convention=convention)

    out = check(
        loss,
        by_view(g["z"]),
        g[f"{convention}/loss_{suffix}"],
        by_view(g[f"{convention}/grad_{suffix}"]),
        # The least singular value is a hundredth of the greatest: its square, of which the root is
        # taken, keeps three digits of float32.
        float32=(1e-5, 1e-3),
    )
    np.testing.assert_allclose(out.loss, lam * out.local_nuc - out.global_nuc, rtol=1e-12)


@each_file
@pytest.mark.parametrize("suffix", ["lam0", "lam"])
def test_rows_as_they_are(golden, name, suffix):
    g = golden(name)
    with jax.enable_x64(True):
        out = losses.mmcr(
            *by_view(np.float64(g["z"])),
            z_momentum=by_view(np.float64(g["z_momentum"])),
            lam=float(g["lam"]) if suffix == "lam" else 0.0,
            convention="lightly_raw",
        )
        np.testing.assert_allclose(out.loss, g[f"lightly_raw/loss_{suffix}"], rtol=1e-9)


@pytest.mark.parametrize("width", [5, 40])
@pytest.mark.parametrize("convention", ["author", "lightly"])
def test_local_term_and_momentum_mean_the_same_on_eight_devices(convention, width):
    z, momentum = np.random.default_rng(0).normal(size=(2, 3, 16, width))

    def loss(z, momentum, axis_name=None):
        options = {"z_momentum": tuple(momentum), "lam": 0.5, "convention": convention}
        return losses.mmcr(*z, **options, axis_name=axis_name).loss

    with jax.enable_x64(True):
        mapped = jax.shard_map(
            lambda z, m: loss(z, m, "i"),
            mesh=jax.make_mesh((8,), ("i",), (jax.sharding.AxisType.Auto,)),
            in_specs=P(None, "i"),
            out_specs=P(),
        )
        value, gradients = jax.jit(jax.value_and_grad(mapped, (0, 1)))(z, momentum)
        expected, gradient = jax.jit(jax.value_and_grad(loss))(z, momentum)
        np.testing.assert_allclose(value, expected, rtol=1e-9)
        np.testing.assert_allclose(gradients[0], gradient, rtol=1e-9, atol=1e-12)
        assert not np.any(gradients[1])


@pytest.mark.parametrize("count, width", [(12, 5), (5, 12)])
def test_value_and_gradient_are_those_of_the_singular_vectors(count, width):
    z = np.random.default_rng(1).normal(size=(count, width))
    u, s, v = np.linalg.svd(z, full_matrices=False)
    step = jax.jit(jax.value_and_grad(lambda z: losses.mmcr(z, z, convention="lightly_raw").loss))
    with jax.enable_x64(True):
        value, gradient = step(z)
        np.testing.assert_allclose(value, -np.sum(s), rtol=1e-9)
        np.testing.assert_allclose(gradient, -u @ v, rtol=1e-8, atol=1e-10)


def test_views_of_an_example_that_agree_leave_no_nan():
    z = np.random.default_rng(1).normal(size=(8, 5)).astype(np.float32)
    value, gradient = jax.jit(jax.value_and_grad(lambda z: losses.mmcr(z, z, z, lam=0.1).loss))(z)
    assert np.isfinite(value) and np.all(np.isfinite(gradient))


def test_refuses():
    z = np.ones((2, 4, 3), np.float32)
    with pytest.raises(ValueError, match=r"z_momentum\[1\] has shape \(5, 3\)"):
        losses.mmcr(*z, z_momentum=(z[0], np.ones((5, 3), np.float32)))
    with pytest.raises(ValueError, match="convention='paper' is unknown"):
        losses.mmcr(*z, convention="paper")
