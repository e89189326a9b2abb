"""W-MSE beside the official code's numbers; sub-batches on devices; what it must refuse."""

import itertools

import jax
import numpy as np
import pytest
from helpers.golden import check
from jax.sharding import PartitionSpec as P

from jax_bt import losses
from jax_bt.losses.w_mse import whiten

each_file = pytest.mark.parametrize("name", ["64x8_w64", "128x32_w64", "64x16_w32"])


@jax.jit
def w_mse(*views, permutation=None):
    return losses.w_mse(*views, permutation=permutation).loss


def heads(views=2, count=32, width=3, seed=0):
    random = np.random.default_rng(seed)
    signal = random.normal(size=(count, width))
    noise = 0.5 * random.normal(size=(views, count, width))
    return [np.float32(signal + n) for n in noise]


def orders(iterations, count, size, seed=0):
    random = np.random.default_rng(seed)
    return np.stack([random.permutation(count).reshape(-1, size) for _ in range(iterations)])


@each_file
@pytest.mark.parametrize("normalize, suffix", [(True, ""), (False, "_mse")])
def test_equals_the_reference(golden, name, normalize, suffix):
    g = golden(f"wmse_loss_{name}")
    count = len(g["h"]) // 2

    def function(h):
        return losses.w_mse(
            h[:count],
            h[count:],
            permutation=g["perm"],
            eps=float(g["eps"]),
            normalize=normalize,
        )

    expected = g["loss" + suffix], (g["grad_h" + suffix],)
    check(function, (g["h"],), *expected, float32=(1e-5, 1e-4))


@each_file
def test_whitened_rows_equal_the_reference(golden, name):
    g = golden(f"wmse_loss_{name}")
    count = len(g["h"]) // 2
    with jax.enable_x64(True):
        y = np.array(g["h"][:count], np.float64)
        y[g["perm"]] = jax.jit(whiten)(y[g["perm"]], eps=float(g["eps"]))
    np.testing.assert_allclose(y[: len(g["z"])], g["z"], rtol=1e-9, atol=1e-12)


def test_whitened_rows_have_mean_zero_and_identity_covariance():
    y = jax.jit(whiten)(heads(1, 40, 6)[0] * 10 + 3)
    np.testing.assert_allclose(np.mean(y, axis=0), 0, atol=1e-5)
    np.testing.assert_allclose(np.cov(y.T), np.eye(6), atol=1e-5)


def test_more_views_are_the_mean_over_pairs():
    views = heads(3)
    together = w_mse(*views)
    pairs = [w_mse(a, b) for a, b in itertools.combinations(views, 2)]
    np.testing.assert_allclose(together, np.mean(pairs), rtol=1e-5)


def test_more_permutations_are_the_mean_over_them():
    views, several = heads(), orders(3, 32, 8)
    each = [w_mse(*views, permutation=one) for one in several]
    assert np.ptp(each) > 1e-3
    np.testing.assert_allclose(w_mse(*views, permutation=several), np.mean(each), rtol=1e-5)


def test_without_permutation_rows_stay_in_order():
    views, in_order = heads(), np.arange(32).reshape(-1, 8)
    plain = w_mse(*views)  # sub-batches of 8, the least divisor of 32 above twice the width
    np.testing.assert_allclose(plain, w_mse(*views, permutation=in_order), rtol=1e-6)
    assert abs(plain - w_mse(*views, permutation=orders(1, 32, 8)[0])) > 1e-3


@pytest.mark.parametrize(
    "options",
    [
        {"whitening_size": 8},  # two whole sub-batches on every device: nothing is gathered
        {"whitening_size": 32},  # a sub-batch is spread over two devices; two for four of them
        {"permutation": orders(2, 64, 8)},  # gathered and shared out among the devices
        {"permutation": orders(1, 64, 32)[0]},  # fewer sub-batches than devices
    ],
    ids=["local", "spread", "shared", "few"],
)
def test_sub_batches_on_devices_equal_one_device(options):
    views = heads(count=64)
    mesh = jax.make_mesh((4,), ("batch",), (jax.sharding.AxisType.Auto,), devices=jax.devices()[:4])

    def step(a, b, axis_name=None):
        return losses.w_mse(a, b, axis_name=axis_name, **options).loss

    mapped = jax.shard_map(
        lambda a, b: step(a, b, "batch"), mesh=mesh, in_specs=P("batch"), out_specs=P()
    )
    with jax.enable_x64(True):
        views = [np.float64(v) for v in views]
        value, gradients = jax.jit(jax.value_and_grad(mapped, (0, 1)))(*views)
        expected, expected_gradients = jax.jit(jax.value_and_grad(step, (0, 1)))(*views)
        np.testing.assert_allclose(value, expected, rtol=1e-10)
        for g, e in zip(gradients, expected_gradients, strict=True):
            np.testing.assert_allclose(g, e, rtol=1e-8, atol=1e-12)


@pytest.mark.parametrize(
    "options, message",
    [
        ({"whitening_size": 3}, "above the embedding width D=3"),
        ({"whitening_size": 12}, "divide the global batch of N=32"),
        ({"permutation": np.arange(32)}, "permutation has shape"),
        ({"permutation": np.arange(24).reshape(3, 8)}, "covering the global batch of N=32"),
        ({"permutation": np.zeros((4, 8))}, "expected integers"),
        ({"permutation": np.arange(32).reshape(4, 8), "whitening_size": 16}, "give one of the two"),
        ({"eps": 1.0}, r"eps=1.0 must be in \[0, 1\)"),
    ],
)
def test_refuses(options, message):
    with pytest.raises(ValueError, match=message):
        losses.w_mse(*heads(), **options)


def test_names_the_view_that_does_not_fit():
    a, b, c = heads(3)
    with pytest.raises(ValueError, match=r"extra\[0\] has shape \(31, 3\)"):
        losses.w_mse(a, b, c[1:])
