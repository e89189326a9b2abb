"""Collapse signals against NumPy, closed forms, and deliberately collapsed batches."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from jax_bt import diagnostics
from jax_bt.train import collapse


def normal(rows, dimensions, seed=0):
    return np.random.default_rng(seed).normal(size=(rows, dimensions)).astype(np.float32)


def with_rank(rows, dimensions, rank, seed=0):
    return normal(rows, rank, seed) @ normal(rank, dimensions, seed + 1)


def test_matches_numpy():
    z = (normal(300, 40) @ normal(40, 40, 1) + 3).astype(np.float32)
    wide = z.astype(np.float64)
    unit = wide / np.linalg.norm(wide, axis=1, keepdims=True)
    np.testing.assert_allclose(diagnostics.standard_deviation(z), unit.std(axis=0), rtol=1e-5)

    c = np.abs(np.corrcoef(wide.T))
    expected = (c.sum() - 40) / (40 * 39)
    np.testing.assert_allclose(diagnostics.mean_correlation(z), expected, rtol=1e-5)

    s = np.linalg.svd(wide, compute_uv=False)
    p = s / s.sum() + 1e-7
    rank = np.exp(-(p * np.log(p)).sum())
    np.testing.assert_allclose(diagnostics.effective_rank(z), rank, rtol=1e-4)

    values = np.linalg.eigvalsh(np.cov(wide.T))[::-1]
    expected = values / values.sum()
    np.testing.assert_allclose(diagnostics.spectrum(z), expected, rtol=1e-3, atol=1e-7)


@pytest.mark.parametrize("dimensions", [16, 256])
def test_rows_over_the_whole_sphere_are_healthy(dimensions):
    signals = diagnostics.measure(normal(512, dimensions))
    assert signals.std_ratio == pytest.approx(1, abs=0.02)
    assert signals.std == pytest.approx(dimensions**-0.5, rel=0.02)
    assert signals.correlation == pytest.approx((2 / (np.pi * 512)) ** 0.5, rel=0.1)
    assert signals.effective_rank > 0.8 * dimensions
    assert signals.full_rank == dimensions
    assert collapse.judge(signals) == "none"


@pytest.mark.parametrize("rank", [1, 3, 20])
def test_effective_rank_sees_the_rank(rank):
    orthogonal = np.linalg.qr(normal(400, rank))[0] @ np.linalg.qr(normal(1024, rank, 1))[0].T
    found = float(diagnostics.effective_rank(orthogonal.astype(np.float32)))
    assert found == pytest.approx(rank, rel=2e-3)  # the eps of 400 zero values adds a little


def test_tells_the_kinds_of_collapse():
    spread = normal(512, 128)
    point = normal(1, 128)
    cases = {
        "none": spread,
        "complete": point + 0.01 * spread,
        "dimensional": with_rank(512, 128, 2) + 1e-4 * spread,
        "not finite": np.where(spread > 4, np.nan, spread),
    }
    found = {name: collapse.judge(diagnostics.measure(z)) for name, z in cases.items()}
    assert found == {name: name for name in cases}
    assert collapse.judge(diagnostics.measure(np.zeros((64, 8)))) == "complete"
    # One direction behind every dimension, under enough noise to lift the effective rank.
    line = normal(512, 1) @ np.ones((1, 128), np.float32) + 0.2 * spread
    assert diagnostics.measure(line).effective_rank > 20
    assert collapse.judge(diagnostics.measure(line)) == "dimensional"
    # Positive features with a common part, as after a ReLU, are no collapse.
    assert collapse.judge(diagnostics.measure(np.maximum(spread + 1, 0))) == "none"
    assert collapse.judge(diagnostics.measure(spread), dimensional=0.99) == "dimensional"


def test_shrinking_is_collapse_where_lengths_count():
    small = diagnostics.measure(0.02 * normal(512, 64))
    assert small.scale == pytest.approx(0.02, rel=0.02)
    assert collapse.judge(small) == "none"
    assert collapse.judge(small, scale=0.1) == "complete"
    assert collapse.judge(diagnostics.measure(normal(512, 64)), scale=0.1) == "none"


def test_constant_dimensions_are_uncorrelated():
    z = normal(200, 6)
    z[:, 1] = z[:, 0]
    z[:, 2:] = 1e3  # constant: rounding alone must not look like correlation
    np.testing.assert_allclose(diagnostics.mean_correlation(z), 2 / 30, rtol=1e-4)


def test_spectrum_sums_to_one():
    values = np.asarray(diagnostics.spectrum(with_rank(900, 64, 5) + 7, rows=100))
    assert values.shape == (64,)
    assert np.all(np.diff(values) <= 0)
    assert values.sum() == pytest.approx(1, abs=1e-5)
    assert values[5:].sum() < 1e-6 < values[4]
    assert not np.asarray(diagnostics.spectrum(np.ones((9, 4)))).any()


def test_half_precision_is_widened():
    z = jnp.asarray(normal(256, 32), jnp.bfloat16)
    signals = diagnostics.measure(z)
    assert {value.dtype for value in signals} == {np.dtype(np.float32)}
    exact = diagnostics.measure(z.astype(jnp.float32))
    np.testing.assert_allclose(signals, exact, rtol=1e-5)


def test_subsample_spans_the_batch_and_bounds_the_cost():
    rows = np.repeat(np.eye(8, 2048, dtype=np.float32), 500, axis=0)  # in order of class
    assert diagnostics.measure(rows).effective_rank == pytest.approx(8, rel=0.05)
    flops = jax.jit(diagnostics.measure).lower(jnp.zeros((4000, 2048))).cost_analysis()["flops"]
    assert flops < 2 * 512 * 1024**2 * 1.2


def test_one_meaning_for_sharded_batches():
    mesh = jax.make_mesh((8,), ("data",), axis_types=(AxisType.Auto,))
    z = normal(512, 48)
    sharded = jax.device_put(z, NamedSharding(mesh, PartitionSpec("data")))
    here, there = diagnostics.measure(z), jax.jit(diagnostics.measure)(sharded)
    np.testing.assert_allclose(there, here, rtol=1e-5)


@pytest.mark.parametrize("shape", [(8,), (1, 8), (8, 1), (2, 2, 2)])
def test_refuses_what_is_no_batch(shape):
    with pytest.raises(ValueError, match="at least 2 rows and 2 dimensions"):
        diagnostics.measure(np.ones(shape))
    with pytest.raises(ValueError, match="rows must be at least 2"):
        diagnostics.measure(np.ones((8, 8)), rows=1)
