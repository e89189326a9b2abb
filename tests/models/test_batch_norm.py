"""BatchNorm against its formula in float64 numpy, on one device, on eight, and in groups."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import PartitionSpec as P

from jax_bt import stats
from jax_bt.devices.mesh import AXIS, make_mesh
from jax_bt.models import BatchNorm

AXES = (0, 1, 2)
SHAPE = (16, 3, 2, 5)


def draw(seed=0, shape=SHAPE, mean=2.0, std=3.0):
    return np.random.default_rng(seed).normal(mean, std, shape).astype(np.float32)


def variables(channels=SHAPE[-1]):
    rng = np.random.default_rng(7)
    params = {"scale": rng.uniform(0.5, 1.5, channels), "bias": rng.normal(size=channels)}
    buffers = {"mean": rng.normal(size=channels), "var": rng.uniform(0.5, 1.5, channels)}
    return jax.tree.map(np.float32, {"params": params, "batch_stats": buffers})


def normalised(x, mean, var, params):
    return (x - mean) / np.sqrt(var + 1e-5) * params["scale"] + params["bias"]


def test_training_normalises_by_biased_and_records_unbiased_variance():
    x, v = draw().astype(np.float64), variables()
    y, new = BatchNorm().apply(v, jnp.float32(x), True, mutable=["batch_stats"])
    mean, var = x.mean(AXES), x.var(AXES)
    np.testing.assert_allclose(y, normalised(x, mean, var, v["params"]), rtol=1e-5, atol=1e-5)
    old, new = v["batch_stats"], new["batch_stats"]
    n = x.size / x.shape[-1]
    np.testing.assert_allclose(new["mean"], 0.9 * old["mean"] + 0.1 * mean, rtol=1e-5)
    np.testing.assert_allclose(new["var"], 0.9 * old["var"] + 0.1 * var * n / (n - 1), rtol=1e-5)


def test_evaluation_uses_and_keeps_the_running_statistics():
    x, v = draw(), variables()
    y, new = BatchNorm(axis_name="unmapped").apply(v, x, False, mutable=["batch_stats"])
    old = v["batch_stats"]
    expected = normalised(x, old["mean"], old["var"], v["params"])
    np.testing.assert_allclose(y, expected, rtol=1e-5, atol=1e-5)
    jax.tree.map(np.testing.assert_array_equal, new["batch_stats"], old)


@pytest.mark.parametrize("near", [0.0, 0.9, 1.0])
@pytest.mark.parametrize("mean", [0, 1, 100, 1000])
@pytest.mark.parametrize("count", [480, 2**17])
def test_float32_error_grows_with_the_distance_from_the_running_mean(count, mean, near):
    """Deviations of 1; E[x^2] - E[x]^2 in float32 has lost a sixth of them at a mean of 1000."""
    x = draw(shape=(count, 4), mean=mean, std=1.0)
    old = {"mean": np.full(4, near * mean, np.float32), "var": np.ones(4, np.float32)}
    module = BatchNorm(use_scale=False, use_bias=False, momentum=0.0, epsilon=0.0)
    run = jax.jit(lambda x: module.apply({"batch_stats": old}, x, True, mutable=["batch_stats"]))
    y, new = run(x)
    x = x.astype(np.float64)
    distance = 1 + ((1 - near) * mean) ** 2
    bound = min(4 * np.finfo(np.float32).eps * distance, 0.5)
    unbiased = x.var(0, ddof=1)
    np.testing.assert_allclose(new["batch_stats"]["var"], unbiased, rtol=bound)
    # The factor has half the variance's error, and x - mean is rounded as x and the mean are.
    expected = (x - x.mean(0)) / x.std(0)
    np.testing.assert_allclose(y, expected, rtol=bound, atol=1e-6 + 2.0**-22 * mean)


@pytest.mark.parametrize("value", [0.0, 5.0, -1e4, 1e8])
def test_a_constant_channel_becomes_zeros(value):
    """Its variance is a difference of equal numbers, which rounding may leave below zero."""
    x = jnp.full((96, 5), value) + jnp.float32([0, 0, 0, 0, 1]) * jnp.arange(96.0)[:, None] * value

    def loss(x):
        module = BatchNorm(use_scale=False, use_bias=False)
        start = {"batch_stats": {"mean": jnp.zeros(5), "var": jnp.ones(5)}}
        y, _ = module.apply(start, x, True, mutable=["batch_stats"])
        return jnp.sum(jnp.sin(y) * jnp.arange(96.0)[:, None]), y

    gradient, y = jax.jit(jax.grad(loss, has_aux=True))(x)
    # x - mean is a few roundings of x beside a deviation of at least 2 sqrt(eps) |x|.
    np.testing.assert_allclose(y[:, :4], 0, atol=1e-3)
    assert np.all(np.isfinite(gradient)) and np.all(np.isfinite(y))


def test_it_is_the_formula_of_two_passes_in_float64():
    """Result and gradients; a mean of 2 / 3 deviations, a running one elsewhere."""
    v, x, target = jax.tree.map(np.float64, (variables(), draw(), draw(1)))

    def formula(params, x):
        mean = jnp.mean(x, AXES)
        var = jnp.mean(jnp.square(x - mean), AXES)
        y = (x - mean) / jnp.sqrt(var + 1e-5) * params["scale"] + params["bias"]
        return jnp.mean(jnp.sin(y) * target), y

    def module(params, x):
        y, _ = BatchNorm().apply(v | {"params": params}, x, True, mutable=["batch_stats"])
        return jnp.mean(jnp.sin(y) * target), y

    with jax.enable_x64(True):
        found, expected = (
            jax.jit(jax.value_and_grad(f, argnums=(0, 1), has_aux=True))(v["params"], x)
            for f in (module, formula)
        )
    close = functools.partial(np.testing.assert_allclose, rtol=1e-12, atol=1e-14)
    jax.tree.map(close, found, expected)


@pytest.mark.parametrize("group_size", [None, 1])
def test_both_statistics_are_reduced_together(group_size):
    """Forward one all-reduce per norm; groups of one device send for the running ones alone."""
    module = BatchNorm(axis_name=AXIS, group_size=group_size)
    v = variables()

    def forward(x):
        for _ in range(3):
            x, new = module.apply(v, jnp.sin(x), True, mutable=["batch_stats"])
        return x, new

    mapped = jax.shard_map(forward, mesh=make_mesh(), in_specs=P(AXIS), out_specs=(P(AXIS), P()))
    program = jax.jit(mapped).lower(draw()).compile().as_text()
    assert program.count(" all-reduce(") + program.count(" all-reduce-start(") == (
        3 if group_size is None else 1
    )


def test_bfloat16_input_has_float32_statistics():
    x = jnp.asarray(draw(), jnp.bfloat16)
    y, new = BatchNorm(dtype=jnp.bfloat16).apply(variables(), x, True, mutable=["batch_stats"])
    assert y.dtype == jnp.bfloat16
    exact, expected = BatchNorm().apply(variables(), x.astype("f4"), True, mutable=["batch_stats"])
    jax.tree.map(np.testing.assert_array_equal, new, expected)
    np.testing.assert_array_equal(y, exact.astype(jnp.bfloat16))


def outcome(axis_name, group_size=None, seed=0):
    """Loss, output, new statistics and gradients in float64; over the eight devices of an axis."""
    module = BatchNorm(axis_name=axis_name, group_size=group_size)
    v, x, target = jax.tree.map(np.float64, (variables(), draw(seed), draw(seed + 1)))

    def loss(params, x, target):
        y, new = module.apply(v | {"params": params}, x, True, mutable=["batch_stats"])
        return stats.mean(jnp.sin(y) * target, AXES, axis_name).sum(), (y, new["batch_stats"])

    if axis_name is not None:
        specs = {"in_specs": (P(), P(AXIS), P(AXIS)), "out_specs": (P(), (P(AXIS), P()))}
        loss = jax.shard_map(loss, mesh=make_mesh(), **specs)
    step = jax.jit(jax.value_and_grad(loss, argnums=(0, 1), has_aux=True))
    with jax.enable_x64(True):
        return step(v["params"], x, target)


def same(a, b):
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-12), a, b)


@pytest.mark.parametrize("group_size", [None, 8])
def test_eight_devices_are_one(group_size):
    same(outcome(AXIS, group_size), outcome(None))


@pytest.mark.parametrize("group_size", [1, 2, 4])
def test_groups_are_separate_batches(group_size):
    groups = 8 // group_size
    v, x, target = jax.tree.map(np.float64, (variables(), draw(), draw(1)))

    def loss(params, x):
        """Each group through a BatchNorm of its own, and the mean of their running statistics."""
        applied = [
            BatchNorm().apply(v | {"params": params}, part, True, mutable=["batch_stats"])
            for part in jnp.split(x, groups)
        ]
        y = jnp.concatenate([part for part, _ in applied])
        kept = [new["batch_stats"] for _, new in applied]
        mean = jax.tree.map(lambda *leaves: sum(leaves) / groups, *kept)
        return (jnp.sin(y) * target).mean(AXES).sum(), (y, mean)

    with jax.enable_x64(True):
        expected = jax.jit(jax.value_and_grad(loss, argnums=(0, 1), has_aux=True))(v["params"], x)
    same(outcome(AXIS, group_size), expected)


@pytest.mark.parametrize("group_size", [0, 3, 16])
def test_a_group_that_does_not_divide_is_refused(group_size):
    with pytest.raises(ValueError, match=f"group_size={group_size} does not divide|must divide"):
        outcome(AXIS, group_size)


def test_groups_need_an_axis():
    with pytest.raises(ValueError, match="group_size needs axis_name"):
        outcome(None, 2)


def test_one_value_a_channel_is_refused():
    with pytest.raises(ValueError, match=r"one value per channel \(input \(1, 5\)\)"):
        BatchNorm().apply(variables(), jnp.ones((1, 5)), True, mutable=["batch_stats"])


def test_initialising_looks_at_no_axis():
    made = BatchNorm(axis_name="unmapped", group_size=2).init(
        jax.random.key(0), jnp.ones((1, 5)), train=True
    )
    np.testing.assert_array_equal(made["batch_stats"]["mean"], np.zeros(5))
    np.testing.assert_array_equal(made["batch_stats"]["var"], np.ones(5))
    np.testing.assert_array_equal(made["params"]["scale"], np.ones(5))
