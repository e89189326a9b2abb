"""Every loss of ``jax_bt.losses`` means the same on any number of devices, and behaves.

The gradient is taken with respect to both the inputs and parameters shared by all devices (one
matrix an argument), since a loss may be right for one and wrong for the other.
"""

import functools

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import NamedSharding
from jax.sharding import PartitionSpec as P

from jax_bt import losses, stats

from .discovery import SIZES, Case
from .model import CASES, DEFAULT, cast, each_case, each_loss, model, parameters, step

pytestmark = pytest.mark.usefixtures("quick_compilation")

AXIS = "batch"
each_count = pytest.mark.parametrize("devices", [2, 4, 8])
# The options of a loss share most of its code: four devices, and the two ways that treat a sum over
# devices differently, are enough for them.
OPTIONS = [case for case in CASES if case not in DEFAULT]
# W-MSE refuses to whiten fewer rows than dimensions, and a loss of scores has none.
WIDE = [
    case.wide()
    for case in DEFAULT
    if case.name != "w_mse" and any("D" in letters.split() for _, letters in case.axes)
]


def mesh(devices: int) -> jax.sharding.Mesh:
    kind = (jax.sharding.AxisType.Auto,)
    return jax.make_mesh((devices,), (AXIS,), kind, devices=jax.devices()[:devices])


@functools.cache
def on_one_device(case: Case):
    """Value and gradients of the whole batch in float64: what every other way must give."""
    with jax.enable_x64(True):
        return jax.tree.map(np.asarray, step(case)(parameters(case), case.inputs()))


def outside(case: Case, devices: int):
    """The gradient of the map."""
    mapped = jax.shard_map(
        model(case, AXIS),
        mesh=mesh(devices),
        in_specs=(P(), case.specs(AXIS)),
        out_specs=P(),
    )
    return jax.jit(jax.value_and_grad(mapped, argnums=(0, 1)))(parameters(case), case.inputs())


def inside(case: Case, devices: int):
    """The map of the gradient: that of shared parameters arrives summed, with no reduction."""
    mapped = jax.shard_map(
        jax.value_and_grad(model(case, AXIS), argnums=(0, 1)),
        mesh=mesh(devices),
        in_specs=(P(), case.specs(AXIS)),
        out_specs=(P(), (P(), case.specs(AXIS))),
    )
    return jax.jit(mapped)(parameters(case), case.inputs())


def sharded_jit(case: Case, devices: int):
    """No axis name: the compiler splits the plain function over a sharded global array."""
    shardings = jax.tree.map(lambda spec: NamedSharding(mesh(devices), spec), case.specs(AXIS))
    return step(case)(parameters(case), jax.device_put(case.inputs(), shardings))


@each_count
@pytest.mark.parametrize("way", [outside, inside, sharded_jit], ids=lambda way: way.__name__)
@each_loss
def test_sharded_equals_one_device(case, way, devices):
    expected = on_one_device(case)
    with jax.enable_x64(True):
        chex.assert_trees_all_close(way(case, devices), expected, rtol=1e-9, atol=1e-12)


@each_count
@each_loss
def test_pmap_with_mean_of_gradients_equals_one_device(case, devices):
    check_pmap(case, devices)


@pytest.mark.parametrize("case", OPTIONS + WIDE, ids=lambda case: case.name)
def test_options_and_wide_embeddings_sharded_equal_one_device(case):
    check_pmap(case, 4)
    with jax.enable_x64(True):
        expected = on_one_device(case)
        chex.assert_trees_all_close(outside(case, 4), expected, rtol=1e-9, atol=1e-12)


def check_pmap(case, devices):
    value, (gradient, _) = on_one_device(case)
    batch_axes = {name: case.batch_axis(name) for name, _ in case.axes}

    def replica(w, x):
        loss, grad = jax.value_and_grad(model(case, AXIS))(w, x)
        return loss, stats.all_mean(grad, AXIS)

    def split(name, x):
        axis = batch_axes[name]
        if axis is None:
            return x
        return x.reshape(*x.shape[:axis], devices, -1, *x.shape[axis + 1 :])

    with jax.enable_x64(True):
        mapped = jax.pmap(
            replica, AXIS, in_axes=(None, batch_axes), devices=jax.devices()[:devices]
        )
        x = {name: split(name, value) for name, value in case.inputs().items()}
        values, gradients = mapped(parameters(case), x)
        np.testing.assert_allclose(values, np.full(devices, value), rtol=1e-9)
        for device in range(devices):
            one = jax.tree.map(lambda g, device=device: g[device], gradients)
            chex.assert_trees_all_close(one, gradient, rtol=1e-9, atol=1e-12)


@each_count
@each_loss
def test_a_batch_that_does_not_divide_raises(case, devices):
    x = case.inputs(N=SIZES["N"] + 1)
    mapped = jax.shard_map(
        model(case, AXIS), mesh=mesh(devices), in_specs=(P(), case.specs(AXIS)), out_specs=P()
    )
    with pytest.raises(ValueError, match="divisible"):
        jax.jit(mapped)(parameters(case), x)
    shardings = jax.tree.map(lambda spec: NamedSharding(mesh(devices), spec), case.specs(AXIS))
    with pytest.raises(ValueError, match="evenly divide"):
        jax.device_put(x, shardings)


@each_case
def test_order_of_the_batch_does_not_matter(case):
    order = np.random.default_rng(2).permutation(SIZES["N"])
    value, (w_gradient, x_gradient) = on_one_device(case)

    def shuffle(arrays):
        return {
            name: x if case.batch_axis(name) is None else np.take(x, order, case.batch_axis(name))
            for name, x in arrays.items()
        }

    expected = value, (w_gradient, shuffle(x_gradient))
    with jax.enable_x64(True):
        shuffled = step(case.reordered(order))(parameters(case), shuffle(case.inputs()))
        chex.assert_trees_all_close(shuffled, expected, rtol=1e-9, atol=1e-12)


@each_loss
def test_jit_equals_eager(case):
    value, _ = on_one_device(case)
    with jax.enable_x64(True):
        eager = model(case)(parameters(case), case.inputs())
        np.testing.assert_allclose(eager, value, rtol=1e-9)


@each_case
def test_float32_is_close_to_float64(case):
    value, gradient = step(case)(parameters(case, dtype="float32"), cast(case.inputs(), "float32"))
    expected_value, expected_gradient = on_one_device(case)
    assert value.dtype == jnp.float32
    np.testing.assert_allclose(value, expected_value, rtol=1e-4)
    assert_gradients_close(gradient, expected_gradient, 1e-3)


@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float16])
@each_loss
def test_short_floats_are_computed_in_float32(case, dtype):
    x = cast(case.inputs(), dtype)
    # A map by the identity leaves short floats what they are, so both see the same numbers, and
    # the loss differs by nothing, the gradient by its last rounding.
    value, (_, gradient) = step(case)(parameters(case, 0, dtype), x)
    wide = step(case)(parameters(case, 0, "float32"), cast(x, "float32"))
    assert value.dtype == jnp.float32
    np.testing.assert_allclose(value, wide[0], rtol=1e-5)
    assert all(g.dtype == dtype for g in gradient.values())
    assert_gradients_close(gradient, wide[1][1], 2 * float(jnp.finfo(dtype).eps))


def assert_gradients_close(gradient, expected, tolerance):
    """Equal to ``tolerance`` of the greatest entry of each array."""
    for g, e in zip(jax.tree.leaves(gradient), jax.tree.leaves(expected), strict=True):
        scale = np.max(np.abs(e))
        np.testing.assert_allclose(np.float64(g), np.float64(e), rtol=0, atol=tolerance * scale)


@each_loss
def test_second_call_does_not_retrace(case):
    chex.clear_trace_counter()
    once = jax.jit(chex.assert_max_traces(case.loss, n=1))
    first = once(cast(case.inputs(seed=3), "float32"))
    second = once(cast(case.inputs(seed=4), "float32"))
    assert np.isfinite(first) and np.isfinite(second) and first != second


def test_every_published_loss_is_found():
    found = {case.name for case in DEFAULT}
    assert found >= {
        "barlow_twins", "vicreg", "byol", "simsiam", "nt_xent", "info_nce", "info_nce_in_batch",
        "swav", "w_mse", "imax", "lejepa", "visreg", "frossl", "mmcr", "tico", "cor_info_max",
        "tcr", "mixed_barlow_twins", "mec",
    }  # fmt: skip
    assert all(callable(getattr(losses, name)) for name in found)
