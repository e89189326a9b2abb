"""SwAV's loss and codes beside the official code's numbers; the queue; what it must refuse."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers.golden import check
from jax.sharding import PartitionSpec as P

from jax_bt import losses
from jax_bt.losses.swav import sinkhorn


def scores(crops=3, count=12, prototypes=5, seed=0):
    return np.random.default_rng(seed).uniform(-1, 1, (crops, count, prototypes)).astype("float32")


@pytest.mark.parametrize("name", ["16x10_it3", "64x96_it3", "64x30_it10"])
def test_equals_the_reference(golden, name):
    g = golden(f"swav_loss_{name}")
    options = {
        "temperature": float(g["temperature"]),
        "epsilon": float(g["eps"]),
        "iterations": int(g["iters"]),
    }
    function = functools.partial(losses.swav, **options)
    # Codes are exponentials of scores / 0.03.
    x, tolerances = g["scores"], (2e-6, 5e-5)
    out = check(function, (x,), g["loss"], (g["grad_scores"],), float32=tolerances)
    for code, expected in zip(out.codes, (g["q0"], g["q1"]), strict=True):
        np.testing.assert_allclose(code[: len(expected)], expected, rtol=1e-9, atol=1e-15)
    check(function, (x[:2],), g["loss_2crops"], (g["grad_2crops"],), float32=None)


def codes(x):
    return jax.jit(functools.partial(sinkhorn, epsilon=0.05, iterations=3))(x)


def test_huge_scores_give_finite_codes():
    """exp(1e3 / 0.05) overflows any float; a constant more changes nothing."""
    x = scores()[:2]
    x = x.round(2)  # a thousand more leaves float32 four decimals
    np.testing.assert_allclose(codes(x + 1000), codes(x), rtol=1e-2)
    assert np.all(np.isfinite(codes(1e4 * x)))


def test_only_assigned_crops_get_codes_and_are_predicted_by_all_others():
    x = scores(crops=3)
    out = jax.jit(functools.partial(losses.swav, assigned=(2,)))(x)
    (code,) = expected_codes = codes(x[2:])
    log_p = np.log(np.exp(10 * x) / np.sum(np.exp(10 * x), axis=-1, keepdims=True))
    expected = -np.mean([np.sum(code * log_p[v], axis=1) for v in (0, 1)])
    np.testing.assert_allclose(out.codes, expected_codes, rtol=1e-5)
    np.testing.assert_allclose(out.loss, expected, rtol=1e-5)


def test_a_queue_balances_the_codes_and_only_the_batchs_are_returned():
    x, queue = scores(), scores(crops=2, count=20, seed=1)

    def loss(x, queue):
        out = losses.swav(x, queue_scores=queue)
        return out.loss, out

    (_, out), gradient = jax.jit(jax.value_and_grad(loss, 1, has_aux=True))(x, queue)
    together = codes(np.concatenate([x[:2], queue], axis=1))
    np.testing.assert_allclose(out.codes, together[:, :12], rtol=1e-5)
    assert np.max(np.abs(out.codes - codes(x[:2]))) > 0.01
    assert not np.any(gradient)


def test_queue_and_codes_are_sharded_like_the_batch():
    x, queue = scores(count=16), scores(crops=2, count=24, seed=1)
    mesh = jax.make_mesh((8,), ("batch",), (jax.sharding.AxisType.Auto,))
    spec = P(None, "batch")

    def step(x, queue, axis_name=None):
        return losses.swav(x, queue_scores=queue, axis_name=axis_name)

    mapped = jax.shard_map(
        functools.partial(step, axis_name="batch"),
        mesh=mesh,
        in_specs=(spec, spec),
        out_specs=losses.SwAV(P(), spec),
    )
    out, expected = jax.jit(mapped)(x, queue), jax.jit(step)(x, queue)
    np.testing.assert_allclose(out.loss, expected.loss, rtol=1e-6)
    np.testing.assert_allclose(out.codes, expected.codes, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(
    "options, message",
    [
        ({"assigned": ()}, "assigned"),
        ({"assigned": (0, 0)}, "assigned"),
        ({"assigned": (0, 3)}, "0..2"),
        ({"iterations": 0}, "iterations=0"),
        ({"epsilon": 0.0}, "epsilon"),
        ({"temperature": -1.0}, "temperature"),
        ({"queue_scores": jnp.zeros((1, 4, 5))}, "queue_scores"),
        ({"queue_scores": jnp.zeros((2, 4, 6))}, "queue_scores"),
    ],
)
def test_refuses(options, message):
    with pytest.raises(ValueError, match=message):
        losses.swav(scores(), **options)


def test_refuses_a_single_crop():
    with pytest.raises(ValueError, match="1 crop"):
        losses.swav(scores(crops=1), assigned=(0,))
