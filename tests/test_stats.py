"""Statistics of the global batch: sharded they are numpy's of the whole."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import PartitionSpec as P

from jax_bt import stats

N, D, SHARDS = 16, 5, 4
X = np.random.default_rng(0).normal(size=(N, D)) * [1, 2, 0.1, 3, 1] + [0, 5, 1, -2, 100]
Y = X[::-1] + np.sin(X)

MAPPED = {
    "mean": lambda x, axis: stats.mean(x, axis_name=axis),
    "variance": lambda x, axis: stats.mean_and_variance(x, axis_name=axis)[1],
    "unbiased": lambda x, axis: stats.mean_and_variance(x, ddof=1, axis_name=axis)[1],
    "cross_correlation": lambda x, axis: stats.cross_correlation(x, jnp.sin(x), axis_name=axis),
    "log_sum_exp": lambda x, axis: stats.log_sum_exp(x, axis_name=axis),
    "max": lambda x, axis: stats.all_max(jnp.max(x, axis=0), axis),
}
EXPECTED = {
    "mean": X.mean(0),
    "variance": X.var(0),
    "unbiased": X.var(0, ddof=1),
    "cross_correlation": np.corrcoef(X.T, np.sin(X).T)[:D, D:],
    "log_sum_exp": np.log(np.sum(np.exp(X - 100), axis=0)) + 100,
    "max": X.max(0),
}


def mesh():
    kind = (jax.sharding.AxisType.Auto,)
    return jax.make_mesh((SHARDS,), ("x",), kind, devices=jax.devices()[:SHARDS])


WHOLE, ROWS = P(), P("x")


def over_shards(function, out=WHOLE):
    return jax.jit(jax.shard_map(function, mesh=mesh(), in_specs=P("x"), out_specs=out))


@pytest.mark.parametrize("name", MAPPED)
def test_statistics_are_numpys_on_one_and_on_several_devices(name):
    with jax.enable_x64(True):
        whole = MAPPED[name](X, None)
        sharded = over_shards(lambda x: MAPPED[name](x, "x"))(X)
    tolerance = 2e-3 if name == "cross_correlation" else 1e-12  # its eps of 1e-5
    np.testing.assert_allclose(whole, EXPECTED[name], rtol=tolerance)
    np.testing.assert_allclose(sharded, whole, rtol=1e-12)


@pytest.mark.parametrize("ddof", [0, 1])
def test_standardize(ddof):
    with jax.enable_x64(True):
        z = over_shards(lambda x: stats.standardize(x, 1e-3, ddof, "x"), ROWS)(X)
    np.testing.assert_allclose(z, (X - X.mean(0)) / np.sqrt(X.var(0, ddof=ddof) + 1e-3))


def test_standardize_keeps_the_digits_of_a_spread_far_from_zero():
    x = np.float32(1000 + np.random.default_rng(0).normal(size=(4096, 3)))
    exact = np.float64(x)
    exact = (exact - exact.mean(0)) / np.sqrt(exact.var(0) + 1e-5)
    np.testing.assert_allclose(stats.standardize(x), exact, atol=2e-4)


@pytest.mark.parametrize("eps", [1e-5, 0.0])
def test_standardize_of_a_constant_column(eps):
    x = np.float32(np.c_[X[:, 0], np.full(N, 3)])
    weight = np.float32(Y[:, :2])
    value, gradient = jax.value_and_grad(lambda x: jnp.sum(stats.standardize(x, eps) * weight))(x)
    assert np.isfinite(value) and np.all(np.isfinite(gradient))
    assert not np.any(stats.standardize(x, eps)[:, 1])


def test_l2_normalize_has_unit_rows_and_spares_zeros():
    x = np.float32(X)
    x[0] = 0
    z = stats.l2_normalize(x)
    np.testing.assert_allclose(np.linalg.norm(z, axis=1), [0] + [1] * (N - 1), rtol=1e-6)
    gradient = jax.grad(lambda x: jnp.sum(stats.l2_normalize(x) * np.float32(Y)))(x)
    assert np.all(np.isfinite(gradient)) and not np.any(gradient[0]) and np.all(gradient[1:] != 0)
    assert stats.l2_normalize(x.astype(jnp.bfloat16)).dtype == jnp.float32


def test_inverse_sqrt_is_safe_at_zero():
    x = jnp.array([0.0, 4.0])
    np.testing.assert_allclose(stats.inverse_sqrt(x), [0, 0.5])
    np.testing.assert_allclose(jax.grad(lambda x: stats.inverse_sqrt(x).sum())(x), [0, -1 / 16])


def contrast(x, axis):
    """Every local row against every row of all shards, as a contrastive loss has it."""
    scores = x @ stats.all_gather(jnp.sin(x), axis_name=axis).T
    return stats.mean(jax.nn.logsumexp(scores, axis=1), axis_name=axis)


def test_all_gather_has_the_gradient_of_the_whole():
    with jax.enable_x64(True):
        expected = jax.value_and_grad(contrast)(X / 100, None)
        outside = jax.value_and_grad(over_shards(lambda x: contrast(x, "x")))(X / 100)
        inside = jax.shard_map(
            jax.value_and_grad(lambda x: contrast(x, "x")),
            mesh=mesh(),
            in_specs=P("x"),
            out_specs=(P(), P("x")),
        )(X / 100)
    for value, gradient in (outside, inside):
        np.testing.assert_allclose(value, expected[0], rtol=1e-12)
        np.testing.assert_allclose(gradient, expected[1], rtol=1e-9, atol=1e-15)


def test_all_gather_under_pmap_with_the_mean_of_gradients():
    def loss(w, x, axis):
        return contrast(x @ w, axis)

    w = np.diag(np.linspace(0.1, 0.2, D))
    with jax.enable_x64(True):
        step = jax.pmap(
            lambda w, x: stats.all_mean(jax.grad(loss)(w, x, "x"), "x"),
            "x",
            in_axes=(None, 0),
            devices=jax.devices()[:SHARDS],
        )
        gradients = np.asarray(step(w, (X / 100).reshape(SHARDS, -1, D)))
        expected = jax.grad(loss)(w, X / 100, None)
    for gradient in gradients:
        np.testing.assert_allclose(gradient, expected, rtol=1e-9)


def test_scatter_sum_is_this_shards_rows_of_the_sum():
    def rows(x):
        return stats.scatter_sum(x.T @ x, "x")

    x = np.float32(X[:, :4])
    scattered = over_shards(rows, ROWS)(x)
    np.testing.assert_allclose(scattered, x.T @ x, rtol=1e-5)
    assert stats.scatter_sum(x) is x


def test_integers_up_to_float16_are_widened():
    assert stats.wide(jnp.ones(2, jnp.bfloat16)).dtype == jnp.float32
    assert stats.wide(jnp.ones(2, jnp.float16)).dtype == jnp.float32
    mean, variance = stats.mean_and_variance(jnp.full((4096, 1), 300, jnp.float16))
    np.testing.assert_allclose([mean, variance], [[300], [0]])
    with jax.enable_x64(True):
        assert stats.wide(jnp.ones(2, jnp.float64)).dtype == jnp.float64


def test_next_row_is_the_next_of_the_whole():
    moved = over_shards(lambda x: stats.next_row(x, "x"), ROWS)(X)
    np.testing.assert_array_equal(moved, np.roll(np.float32(X), -1, axis=0))
    np.testing.assert_array_equal(stats.next_row(jnp.asarray(X)), moved)
    slope = jax.grad(lambda x: jnp.sum(over_shards(lambda y: stats.next_row(y, "x"), ROWS)(x) * X))
    np.testing.assert_allclose(slope(jnp.asarray(X)), np.roll(X, 1, axis=0), rtol=1e-6)
