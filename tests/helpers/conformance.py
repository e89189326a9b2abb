"""One meaning of a loss on any number of devices: how it is computed, and the checks of it.

Every loss stands behind a linear map, one matrix an argument, so that it has parameters shared by
all devices: a loss may be right for the gradient of its inputs and wrong for theirs.
"""

import functools

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from helpers.discovery import SIZES, Case, cases
from jax_bt import stats

AXIS = "batch"
CASES = cases()
DEFAULT = [case for case in CASES if "-" not in case.name]
OPTIONS = [case for case in CASES if case not in DEFAULT]
# W-MSE refuses to whiten fewer rows than dimensions, and a loss of scores has none.
WIDE = [
    case.wide()
    for case in DEFAULT
    if case.name != "w_mse" and any("D" in letters.split() for _, letters in case.axes)
]

each_case = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
each_loss = pytest.mark.parametrize("case", DEFAULT, ids=lambda case: case.name)


def model(case: Case, axis_name: str | None = None):
    """A loss of (parameters, inputs): every batch argument through a linear map."""

    def value(w, x):
        mapped = {k: v @ w[k] if k in w else v for k, v in x.items()}
        return case.loss(mapped, axis_name)

    return value


@functools.cache
def step(case: Case):
    """Value and gradients of the whole batch, one trace a dtype; the tests share it."""
    return jax.jit(jax.value_and_grad(model(case), argnums=(0, 1)))


def parameters(case: Case, noise: float = 0.1, dtype: str = "float64") -> dict[str, np.ndarray]:
    """The matrices: the identity and some noise."""
    random = np.random.default_rng(1)
    sizes = SIZES | dict(case.sizes)
    widths = {
        name: sizes[letters.split()[-1]]
        for name, letters in case.axes
        if case.batch_axis(name) is not None
    }
    w = {k: np.eye(d) + noise * random.normal(size=(d, d)) for k, d in widths.items()}
    return cast(w, dtype)


def cast(arrays, dtype):
    """The arrays in that dtype."""
    return {name: np.asarray(array, jnp.dtype(dtype)) for name, array in arrays.items()}


def mesh(devices: int) -> Mesh:
    """The first devices, along ``AXIS``."""
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


WAYS = (outside, inside, sharded_jit)


def check_sharded(case: Case, way, devices: int) -> None:
    """Value and all gradients of a way equal those of one device."""
    expected = on_one_device(case)
    with jax.enable_x64(True):
        chex.assert_trees_all_close(way(case, devices), expected, rtol=1e-9, atol=1e-12)


def check_pmap(case: Case, devices: int) -> None:
    """Under pmap, the value and the mean of the replicas' gradients equal those of one device."""
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


def check_order(case: Case) -> None:
    """Value and gradients do not depend on the order of the batch."""
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


def check_degenerate(case: Case, degenerate) -> None:
    """Value and gradients are finite for a batch that ``degenerate`` makes of each argument."""
    x = {
        name: v if case.batch_axis(name) is None else degenerate(v)
        for name, v in cast(case.inputs(), "float32").items()
    }
    chex.assert_tree_all_finite(step(case)(parameters(case, 0, "float32"), x))
