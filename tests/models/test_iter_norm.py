"""IterNorm against its formula in float64 numpy: one device, eight, groups of them; evaluation."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import PartitionSpec as P

from jax_bt import stats
from jax_bt.devices.mesh import AXIS, make_mesh
from jax_bt.errors import UsageError
from jax_bt.models import IterNorm

N, D, GROUPS = 32, 12, 3


def draw(seed=0):
    rng = np.random.default_rng(seed)
    mixed = rng.normal(size=(N, D)) @ rng.normal(size=(D, D))
    return mixed + rng.normal(size=D)


def variables():
    rng = np.random.default_rng(7)
    size = D // GROUPS
    return {
        "params": {"scale": rng.uniform(0.5, 1.5, D), "bias": rng.normal(size=D)},
        "batch_stats": {
            "mean": rng.normal(size=(GROUPS, size)),
            "whitening": rng.normal(size=(GROUPS, size, size)),
        },
    }


def whitening(x, iterations):
    """W of one group by the recursion in the docstring; None: the inverse root itself."""
    sigma = np.cov(x, rowvar=False, ddof=0) + 1e-5 * np.eye(x.shape[1])
    if iterations is None:
        values, vectors = np.linalg.eigh(sigma)
        return vectors / np.sqrt(values) @ vectors.T
    p, s = np.eye(len(sigma)), sigma / np.trace(sigma)
    for _ in range(iterations):
        p = (3 * p - np.linalg.matrix_power(p, 3) @ s) / 2
    return p / np.sqrt(np.trace(sigma))


def by_hand(x, params, iterations):
    parts = np.split(x, GROUPS, axis=1)
    made = [whitening(part, iterations) for part in parts]
    y = [(part - part.mean(0)) @ w.T for part, w in zip(parts, made, strict=True)]
    y = np.concatenate(y, axis=1) * params["scale"] + params["bias"]
    return y, np.stack([part.mean(0) for part in parts]), np.stack(made)


@pytest.mark.parametrize(("iterations", "exact"), [(5, 5), (14, None)])
def test_whitens_each_group_and_records_the_mean_and_the_matrix(iterations, exact):
    """With more iterations W is the inverse root: all covariances of a group are then 0."""
    x, v = draw(), variables()
    if exact is None:  # the iteration is stable for eigenvalues of a ratio below 9 only
        x = np.random.default_rng(0).normal(1.0, 2.0, (N, D))
    expected, mean, w = by_hand(x, v["params"], exact)
    with jax.enable_x64(True):
        module = IterNorm(GROUPS, iterations, param_dtype=jnp.float64)
        y, new = module.apply(v, jnp.asarray(x), True, mutable=["batch_stats"])
        np.testing.assert_allclose(y, expected, rtol=1e-9, atol=1e-9)
        for name, value in (("mean", mean), ("whitening", w)):
            kept = 0.9 * v["batch_stats"][name] + 0.1 * value
            np.testing.assert_allclose(new["batch_stats"][name], kept, rtol=1e-8, atol=1e-9)


def test_evaluation_uses_and_keeps_what_runs_along():
    x, v = draw(), variables()
    with jax.enable_x64(True):
        module = IterNorm(GROUPS, axis_name="unmapped", param_dtype=jnp.float64)
        y, new = module.apply(v, jnp.asarray(x), False, mutable=["batch_stats"])
        expected = [
            (part - mean) @ w.T
            for part, mean, w in zip(
                np.split(x, GROUPS, axis=1), *v["batch_stats"].values(), strict=True
            )
        ]
        expected = np.concatenate(expected, axis=1) * v["params"]["scale"] + v["params"]["bias"]
        np.testing.assert_allclose(y, expected, rtol=1e-9, atol=1e-9)
        jax.tree.map(np.testing.assert_array_equal, new["batch_stats"], v["batch_stats"])


def outcome(axis_name, group_size=None):
    """Loss, output and statistics, and gradients, in float64; over the eight devices of an axis."""
    module = IterNorm(GROUPS, axis_name=axis_name, group_size=group_size, param_dtype=jnp.float64)
    v, x, target = variables(), draw(), draw(1)

    def loss(params, x, target):
        y, new = module.apply(v | {"params": params}, x, True, mutable=["batch_stats"])
        return stats.mean(jnp.sin(y) * target, 0, axis_name).sum(), (y, new["batch_stats"])

    if axis_name is not None:
        specs = {"in_specs": (P(), P(AXIS), P(AXIS)), "out_specs": (P(), (P(AXIS), P()))}
        loss = jax.shard_map(loss, mesh=make_mesh(), **specs)
    with jax.enable_x64(True):
        return jax.jit(jax.value_and_grad(loss, (0, 1), has_aux=True))(v["params"], x, target)


@pytest.mark.parametrize("group_size", [None, 8])
def test_eight_devices_are_one(group_size):
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-11),
        outcome(AXIS, group_size),
        outcome(None),
    )


def test_groups_of_devices_are_separate_batches():
    (_, (y, new)), _ = outcome(AXIS, 4)
    v, halves = variables(), np.split(draw(), 2)
    made = [by_hand(half, v["params"], 5) for half in halves]
    np.testing.assert_allclose(y, np.concatenate([part for part, _, _ in made]), rtol=1e-9)
    w = np.mean([w for _, _, w in made], axis=0)
    kept = 0.9 * v["batch_stats"]["whitening"] + 0.1 * w
    np.testing.assert_allclose(new["whitening"], kept, rtol=1e-9, atol=1e-11)


def test_groups_divide_the_dimensions_and_are_no_more_than_they():
    made = IterNorm(64).init(jax.random.key(0), jnp.ones((4, 8)), train=True)
    assert made["batch_stats"]["whitening"].shape == (8, 1, 1)
    with pytest.raises(UsageError, match="IterNorm: 5 groups do not divide 12 dimensions"):
        IterNorm(5).init(jax.random.key(0), jnp.ones((4, 12)), train=True)
    with pytest.raises(ValueError, match="group_size needs axis_name"):
        outcome(None, 2)
