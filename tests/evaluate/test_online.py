"""The classifier beside the encoder: its gradient, its labels, its devices."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import PartitionSpec as P

from jax_bt import evaluate
from jax_bt.devices.mesh import AXIS, make_mesh


@pytest.fixture(scope="module")
def example():
    random = np.random.default_rng(0)
    h = random.normal(size=(16, 6)).astype(np.float32)
    label = random.integers(0, 4, 16)
    label[[2, 9, 10]] = -1
    params = evaluate.online_init(jax.random.key(0), 6, 4)
    return jax.tree.map(lambda x: x + 0.3 * random.normal(size=x.shape), params), h, label


def by_hand(params, h, label):
    """numpy in float64: loss, top-1, and the gradient of weight and bias."""
    kernel, bias = (np.asarray(params[k], np.float64) for k in ("kernel", "bias"))
    known = label >= 0
    h = h.astype(np.float64)
    h = ((h - h.mean(0)) / np.sqrt(h.var(0) + 1e-5))[known]
    label = label[known]
    logits = h @ kernel + bias
    p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    error = (p - np.eye(4)[label]) / len(h)
    loss = -np.log(p[np.arange(len(h)), label]).mean()
    return loss, 100 * np.mean(logits.argmax(1) == label), h.T @ error, error.sum(axis=0)


@pytest.mark.parametrize("devices", [None, 1, 8])
def test_matches_numpy_on_any_number_of_devices(example, devices):
    params, h, label = example

    def loss(params, h, label):
        return evaluate.online_loss(params, h, label, AXIS if devices else None)

    if devices:
        loss = jax.shard_map(
            loss,
            mesh=make_mesh(jax.devices()[:devices]),
            in_specs=(P(), P(AXIS), P(AXIS)),
            out_specs=P(),
        )
    gradient = jax.jit(jax.value_and_grad(loss, argnums=(0, 1), has_aux=True))
    (value, terms), (own, of_h) = gradient(params, h, label)
    wanted, top1, kernel, bias = by_hand(params, h, label)
    # float32 sums over 16 rows.
    assert float(value) == float(terms["online_loss"]) == pytest.approx(wanted, rel=1e-5)
    assert float(terms["online_top1"]) == pytest.approx(top1)
    np.testing.assert_allclose(own["kernel"], kernel, rtol=0, atol=1e-6)
    np.testing.assert_allclose(own["bias"], bias, rtol=0, atol=1e-6)
    assert not np.any(of_h)


def test_a_batch_without_labels_is_nothing(example):
    params, h, _ = example
    loss = lambda p: evaluate.online_loss(p, h, jnp.full(16, -1))  # noqa: E731
    (value, terms), gradient = jax.value_and_grad(loss, has_aux=True)(params)
    assert float(value) == float(terms["online_top1"]) == 0
    assert not any(np.any(g) for g in gradient.values())


def test_starts_small():
    params = evaluate.online_init(jax.random.key(1), 2048, 1000)
    assert params["kernel"].shape == (2048, 1000) and not params["bias"].any()
    # 2 million draws: the deviation is known to 0.05 %.
    assert float(params["kernel"].std()) == pytest.approx(0.01, rel=5e-3)
