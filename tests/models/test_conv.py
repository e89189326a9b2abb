"""Convolutions by matrix products against XLA's own, on CPUs, and XLA's own elsewhere."""

import functools
import re

import flax.linen as nn
import jax
import jax.export
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import PartitionSpec as P

from jax_bt.devices.mesh import AXIS, make_mesh
from jax_bt.models import _conv, _winograd

# Map, channels, features, window, stride, padding before and after: what takes each way.
CASES = {
    "covered": ((2, 2), 5, 7, (3, 3), (1, 1), ((1, 1), (1, 1))),
    "covered, a single pixel": ((1, 1), 5, 7, (3, 3), (1, 1), ((1, 1), (1, 1))),
    "covered, uneven": ((2, 3), 5, 7, (4, 5), (1, 2), ((1, 2), (2, 2))),
    "covered waves": ((2,), 5, 7, (3,), (1,), ((1, 1),)),
    "strided to a small map": ((4, 4), 5, 7, (3, 3), (2, 2), ((1, 1), (1, 1))),
    "strided, much work": ((17, 16), 17, 7, (3, 3), (2, 2), ((1, 1), (1, 1))),
    "strided, a row left over": ((4, 5), 5, 7, (4, 4), (2, 3), ((1, 0), (2, 1))),
    "wide": ((8, 8), 16, 7, (3, 3), (1, 1), ((1, 1), (1, 1))),
    "wide, strided": ((17, 16), 17, 7, (3, 3), (2, 2), ((1, 1), (1, 1))),
    "wide, uneven": ((12, 9), 16, 7, (4, 2), (1, 1), ((0, 3), (2, 1))),
    "wide 1x1, strided": ((16, 16), 16, 7, (1, 1), (2, 2), ((0, 0), (0, 0))),
    "wide waves": ((128,), 16, 7, (3,), (2,), ((1, 1),)),
    "transformed": ((8, 8), 32, 33, (3, 3), (1, 1), ((1, 1), (1, 1))),
    "transformed, odd": ((7, 4), 32, 33, (3, 3), (1, 1), ((0, 2), (1, 0))),
    "as before": ((6, 5), 4, 7, (3, 3), (1, 1), ((1, 1), (1, 1))),
}
WAYS = {
    "covered": "_covered_product", "strided": "_input_gradient", "wide": "_kernel_gradient",
    "transformed": "convolve gradients", "as": "_plain",
}  # fmt: skip


# Sums of at most 16 * 16 * 16 products of size 1, in another order.
close = functools.partial(np.testing.assert_allclose, rtol=1e-11, atol=1e-11)


def draw(case, examples=16, dtype=np.float64):
    space, channels, features, window, *_ = CASES[case]
    rng = np.random.default_rng(0)
    x = rng.normal(size=(examples, *space, channels)).astype(dtype)
    return x, rng.normal(size=(*window, channels, features)).astype(dtype)


def outcome(function, x, kernel):
    """Result, and gradients of its sum weighted by normal draws."""
    y = jax.eval_shape(function, x, kernel)
    weights = np.random.default_rng(1).normal(size=y.shape)
    return jax.jit(lambda *given: back(function, *given))(x, kernel, jnp.asarray(weights, x.dtype))


def back(function, x, kernel, weights):
    y, pull = jax.vjp(function, x, kernel)
    return y, *pull(weights)


def ours(case):
    return lambda x, kernel: _conv.conv(x, kernel, *CASES[case][4:])


def flax(case):
    """Flax's Conv."""
    _, _, features, window, strides, padding = CASES[case]
    conv = nn.Conv(features, window, strides, padding, use_bias=False)
    return lambda x, kernel: conv.apply({"params": {"kernel": kernel}}, x)


@pytest.fixture(autouse=True)
def little_work_is_enough(monkeypatch):
    """Some ways are otherwise for more work than a test should do."""
    monkeypatch.setattr(_winograd, "LEAST", 2**18)
    monkeypatch.setattr(_conv, "STRIDED", 2**20)


def record(module, name, taken, monkeypatch):
    """Adds the function's name to the set where it is called."""
    original = getattr(module, name)

    def recorded(*given, **named):
        taken.add(name)
        return original(*given, **named)

    monkeypatch.setattr(module, name, recorded)


@pytest.mark.parametrize("case", CASES)
def test_result_and_gradients_are_those_of_flax(case, monkeypatch):
    taken, ways = set(), WAYS[case.split(",")[0].split()[0]].split()
    for way in ways:
        module = _conv if hasattr(_conv, way) else _winograd
        record(module, way, taken, monkeypatch)
    monkeypatch.setattr(_conv, "PATCHES", 40000)  # more than one part of the examples
    monkeypatch.setattr(_winograd, "TILES", 2**20)
    jax.clear_caches()  # of traces with other limits
    with jax.enable_x64(True):
        found, expected = (outcome(f(case), *draw(case)) for f in (ours, flax))
    assert taken == set(ways)
    jax.tree.map(close, found, expected)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("case", ["covered", "strided to a small map", "wide", "transformed"])
def test_dtypes(case, dtype):
    """Results have the arrays' dtype; errors some roundings of the largest entry."""
    x, kernel = (jnp.asarray(a, dtype) for a in draw(case))
    found = outcome(ours(case), x, kernel)
    y = found[0]
    weights = jnp.asarray(np.random.default_rng(1).normal(size=y.shape), dtype)
    with jax.enable_x64(True):
        exact = back(flax(case), *(np.asarray(a, np.float64) for a in (x, kernel, weights)))
    for a, b in zip(found, exact, strict=True):
        assert a.dtype == jnp.dtype(dtype)
        atol = 16 * float(jnp.finfo(dtype).eps) * np.max(np.abs(b))
        np.testing.assert_allclose(np.asarray(a, np.float64), b, rtol=0, atol=atol)


@pytest.mark.parametrize(
    "case", ["covered", "strided to a small map", "wide", "transformed", "as before"]
)
def test_eight_devices_are_one(case):
    """With the replication checks on: the kernel's gradient is summed over the devices."""
    mesh = make_mesh()
    mapped = jax.shard_map(ours(case), mesh=mesh, in_specs=(P(AXIS), P()), out_specs=P(AXIS))
    with jax.enable_x64(True):
        x, kernel = draw(case, examples=128)  # 16 each
        found, expected = outcome(mapped, x, kernel), outcome(ours(case), x, kernel)
    jax.tree.map(close, found, expected)


@pytest.mark.parametrize("platform", ["tpu", "cuda"])
@pytest.mark.parametrize("case", CASES)
def test_programs_for_other_platforms_have_the_same_convolutions(case, platform):
    """And no product, loop or sum beside them."""

    def program(function):
        x, kernel = draw(case, dtype=np.float32)
        y = jax.eval_shape(function, x, kernel)
        traced = jax.jit(functools.partial(back, function)).trace(x, kernel, y)
        return traced.lower(lowering_platforms=(platform,)).as_text()

    found, expected = program(ours(case)), program(flax(case))
    convolutions = [
        sorted(line.split("dim_numbers")[1] for line in text.splitlines() if ".convolution" in line)
        for text in (found, expected)
    ]
    assert convolutions[0] == convolutions[1] and len(convolutions[0]) == 3
    # The choice itself is a case of one branch over constants, which XLA inlines.
    kinds = set(re.findall(r"stablehlo\.(\w+)", found))
    assert kinds - {"case", "return", "constant"} == {"convolution", "reverse"}


def test_under_remat_and_maps_of_parts():
    """As the networks use it: recomputed, and in a loop over parts."""
    case = "wide"
    x, kernel = draw(case, examples=8)

    def parts(x, kernel):
        conv = jax.checkpoint(lambda x: ours(case)(x, kernel))
        y = jax.lax.map(conv, x.reshape(2, 4, *x.shape[1:]))
        return y.reshape(8, *y.shape[2:])

    with jax.enable_x64(True):
        found, expected = outcome(parts, x, kernel), outcome(flax(case), x, kernel)
    jax.tree.map(close, found, expected)


def test_a_symbolic_batch_has_plain_convolutions():
    """As exporters trace it; the program for CPUs then has convolutions for every map."""
    x, kernel = draw("covered", dtype=np.float32)
    (batch,) = jax.export.symbolic_shape("b")
    given = jax.ShapeDtypeStruct((batch, *x.shape[1:]), x.dtype)
    made = jax.export.export(jax.jit(ours("covered")), platforms=["cpu"])(given, kernel)
    assert made.mlir_module().count("stablehlo.convolution") == 1
    np.testing.assert_allclose(made.call(x, kernel), flax("covered")(x, kernel), atol=1e-4)
