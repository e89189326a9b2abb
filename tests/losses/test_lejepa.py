"""LeJEPA beside the numbers of five public codes, and its own draw of directions."""

import functools

import jax
import numpy as np
import pytest
import scipy.stats
from helpers.golden import check
from jax.sharding import PartitionSpec as P

from jax_bt import losses

FILES = ["sigreg_3x16x8_M64", "sigreg_4x64x32_M256"]
each_file = pytest.mark.parametrize("name", FILES)


@each_file
@pytest.mark.parametrize("convention", ["minimal", "lightly", "stable", "eb_jepa"])
def test_equals_the_reference(golden, name, convention):
    g = golden(name)
    eb = convention == "eb_jepa"  # of two views, with its own weight
    views = g["z"][:2] if eb else g["z"]
    out = check(
        lambda *z: losses.lejepa(
            *z,
            directions=np.asarray(g["A_raw"], z[0].dtype),
            lam=None if eb else float(g["lam"]),
            n_global=int(g["n_global"]),
            convention=convention,
        ),
        tuple(views),
        g[f"{convention}/loss"],
        tuple(g[f"{convention}/grad"]),
        # Float32 projections of a few units have an error of 1e-6 in the angles.
        float32=(1e-5, 1e-5),
    )
    np.testing.assert_allclose(out.inv, g[f"{convention}/inv"], rtol=1e-9)
    term = "bcs" if eb else "sigreg"
    np.testing.assert_allclose(getattr(out, term), g[f"{convention}/{term}"], rtol=1e-9)


@each_file
def test_the_statistic_alone(golden, name):
    g = golden(name)
    expected = g["minimal/grad_sigreg"]  # of the larger file, the first 8 rows
    for convention, field in [("package", "loss"), ("minimal", "sigreg")]:
        with jax.enable_x64(True):
            step = jax.value_and_grad(
                lambda z, c=convention, f=field: getattr(
                    losses.lejepa(*z, directions=np.float64(g["A_raw"]), convention=c), f
                )
            )
            value, gradient = jax.jit(step)(np.float64(g["z"]))
        np.testing.assert_allclose(value, g["package/statistic"], rtol=1e-9)
        kept = gradient[:, : expected.shape[1]]
        np.testing.assert_allclose(kept, expected, rtol=0, atol=1e-9 * np.max(np.abs(expected)))


@each_file
def test_per_slice_and_other_knots(golden, name):
    g = golden(name)
    with jax.enable_x64(True):
        statistic = functools.partial(losses.sigreg, directions=np.float64(g["A_raw"]))
        per_slice = np.asarray(statistic(np.float64(g["z"])))
        longer = np.asarray(statistic(np.float64(g["z"]), t_max=5.0, n_points=21))
    np.testing.assert_allclose(per_slice, g["package/per_slice"], rtol=1e-9)
    np.testing.assert_allclose(np.mean(longer), g["package/statistic_t5_21"], rtol=1e-9)
    clipped = np.where(per_slice < 1, 0, per_slice)
    np.testing.assert_allclose(np.sum(clipped), g["package/sum_clip1"], rtol=1e-9)


def views(count=16, width=8, seed=0):
    return np.random.default_rng(seed).normal(size=(3, count, width)).astype(np.float32)


def test_a_key_draws_the_same_slices_on_every_device():
    z, key = views(), jax.random.key(3)
    mapped = jax.shard_map(
        lambda z, key: losses.lejepa(*z, key=key, slices=40, axis_name="i"),
        mesh=jax.make_mesh((8,), ("i",), (jax.sharding.AxisType.Auto,)),
        in_specs=(P(None, "i"), P()),
        out_specs=P(),
    )
    drawn = jax.random.normal(key, (8, 40))
    expected = losses.lejepa(*z, directions=drawn)
    np.testing.assert_allclose(jax.jit(mapped)(z, key), expected, rtol=1e-5)
    other = losses.lejepa(*z, key=jax.random.key(4), slices=40)
    assert abs(other.sigreg / expected.sigreg - 1) > 1e-3


def test_a_sharded_array_over_explicit_axes_needs_no_axis_name():
    mesh = jax.make_mesh((8,), ("i",))
    z = jax.device_put(views(), jax.NamedSharding(mesh, P(None, "i")))
    step = jax.jit(lambda z, key: losses.lejepa(z[0], z[1], z[2], key=key).loss)
    key = jax.random.key(3)
    np.testing.assert_allclose(step(z, key), step(views(), key), rtol=1e-5)


def test_normal_quantiles_have_a_small_statistic_and_a_point_a_large_one():
    normal = scipy.stats.norm.ppf((np.arange(64) + 0.5) / 64).astype(np.float32)[:, None]
    near = losses.lejepa(normal, normal, key=jax.random.key(0))
    far = losses.lejepa(0 * normal, 0 * normal, key=jax.random.key(0))
    assert near.inv == far.inv == 0 and near.sigreg < 1e-2 * far.sigreg


@pytest.mark.parametrize(
    "options, message",
    [
        ({}, "either directions=.* or key="),
        ({"key": 1, "directions": 1}, "either directions"),
        ({"directions": np.ones((3, 5), np.float32)}, r"\(3, 5\): expected \(D=8, M\)"),
        ({"directions": np.ones((8, 5), np.int32)}, "directions is int32"),
        ({"key": jax.random.key(0), "slices": 0}, "slices=0"),
        ({"key": jax.random.key(0), "n_global": 4}, "n_global=4 must be 1 to 3"),
        ({"key": jax.random.key(0), "n_points": 1}, "n_points=1"),
        ({"key": jax.random.key(0), "convention": "paper"}, "convention='paper' is unknown"),
    ],
)
def test_refuses(options, message):
    with pytest.raises(ValueError, match=message):
        losses.lejepa(*views(), **options)
