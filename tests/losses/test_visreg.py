"""VISReg beside the authors' and lightly's numbers, and its slices shared out over devices."""

import jax
import numpy as np
import pytest
import scipy.stats
from helpers.golden import check
from jax.sharding import PartitionSpec as P

from jax_bt import losses

each_file = pytest.mark.parametrize("name", ["visreg_3x9x6_M16", "visreg_4x32x24_M96"])


def options(g, dtype, **more):
    given = {"lam": float(g["lam"]), "n_global": int(g["n_global"])} | more
    return {"directions": np.asarray(g["A_raw"], dtype), **given}


@each_file
@pytest.mark.parametrize("convention", ["author", "lightly"])
def test_equals_the_reference(golden, name, convention):
    g = golden(name)
    out = check(
        lambda *z: losses.visreg(*z, **options(g, z[0].dtype, convention=convention)),
        tuple(g["z"]),
        g[f"{convention}/loss"],
        tuple(g[f"{convention}/grad"]),
        # A deviation of 1e-3 magnifies the rounding of the float32 input a thousandfold.
        float32=(1e-5, 1e-3),
    )
    np.testing.assert_allclose(out.pred, g["lightly/pred"], rtol=1e-9)
    np.testing.assert_allclose(out.center, g["lightly/center"], rtol=1e-9)
    if convention == "author":
        np.testing.assert_allclose(out.reg, g["author/reg"], rtol=1e-9)
    else:
        np.testing.assert_allclose(out.scale, g["lightly/scale"], rtol=1e-9)
        np.testing.assert_allclose(out.shape, g["lightly/shape"], rtol=1e-9)


@each_file
@pytest.mark.parametrize("term", ["scale", "shape"])
def test_terms_have_the_references_gradients(golden, name, term):
    g = golden(name)

    def value(z):
        out = losses.visreg(*z, **options(g, np.float64, convention="lightly"))
        return getattr(out, term)

    with jax.enable_x64(True):
        gradient = np.asarray(jax.jit(jax.grad(value))(np.float64(g["z"])))
    expected = g[f"lightly/grad_{term}"]
    scale = np.max(np.abs(expected))
    np.testing.assert_allclose(gradient, expected, rtol=0, atol=1e-9 * scale)


@each_file
def test_weights(golden, name):
    g = golden(name)
    weights = {"lam": 0.6, "scale_weight": 0.5, "shape_weight": 2.0, "center_weight": 1.5}
    with jax.enable_x64(True):
        out = losses.visreg(
            *np.float64(g["z"]), **options(g, np.float64, convention="lightly", **weights)
        )
        np.testing.assert_allclose(out.loss, g["lightly/loss_weighted"], rtol=1e-9)


@pytest.mark.parametrize("slices", [3, 13, 16])
def test_slices_are_shared_out_also_where_they_do_not_divide(slices):
    z = np.random.default_rng(0).normal(size=(2, 16, 8)).astype(np.float32)
    key = jax.random.key(5)
    mapped = jax.shard_map(
        lambda z, key: losses.visreg(*z, key=key, slices=slices, axis_name="i"),
        mesh=jax.make_mesh((8,), ("i",), (jax.sharding.AxisType.Auto,)),
        in_specs=(P(None, "i"), P()),
        out_specs=P(),
    )
    expected = losses.visreg(*z, directions=jax.random.normal(key, (8, slices)))
    np.testing.assert_allclose(jax.jit(mapped)(z, key), expected, rtol=1e-5)


def test_normal_quantiles_have_their_shape_whatever_scale_and_mean():
    normal = scipy.stats.norm.ppf(np.arange(1, 65) / 65).astype(np.float32)[:, None]
    deviation = normal.std()  # 0.94: the quantiles scaled to 1 are off themselves by this much
    z = 3 * normal / deviation + 2
    out = losses.visreg(z, z, key=jax.random.key(0), slices=2)
    assert out.pred == 0
    np.testing.assert_allclose(out.shape, (1 - deviation) ** 2, rtol=1e-3)
    np.testing.assert_allclose([out.scale, out.center], [4, 4], rtol=1e-5)


@pytest.mark.parametrize(
    "given, message",
    [
        ({}, "either directions"),
        ({"key": jax.random.key(0), "n_global": 0}, "n_global=0"),
        ({"key": jax.random.key(0), "convention": "minimal"}, "choose one of author, lightly"),
    ],
)
def test_refuses(given, message):
    z = np.zeros((2, 4, 3), np.float32)
    with pytest.raises(ValueError, match=message):
        losses.visreg(*z, **given)
