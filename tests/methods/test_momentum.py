"""Momentum encoders and queues: when they move, in which order, and that nothing trains them."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jax_bt import losses, methods, schedules
from jax_bt.methods import momentum

from . import tiny


def close(a, b, rtol=1e-6, atol=1e-7):
    jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, rtol=rtol, atol=atol), a, b)


def test_byol_target_moves_after_the_optimiser_with_the_cosine_schedule():
    """target <- tau(s) target + (1 - tau(s)) params of step s, already updated."""
    run = tiny.make("byol", target={"momentum": 0.9})
    before = run.state
    for i in range(2):
        after, _ = tiny.train(run, range(i, i + 1), before)
        tau = schedules.cosine_ema(0.9, tiny.STEPS)(i)
        expected = momentum.move(before.target["params"], after.params, tau)
        close(after.target["params"], expected)
        old = before.target["params"]["encoder"]["linear_0"]["kernel"]
        assert np.abs(old - after.target["params"]["encoder"]["linear_0"]["kernel"]).max() > 1e-3
        before = after


def test_byol_target_starts_from_another_seed():
    state = tiny.make("byol").state
    a = state.params["encoder"]["linear_0"]["kernel"]
    b = state.target["params"]["encoder"]["linear_0"]["kernel"]
    assert a.shape == b.shape and np.abs(a - b).max() > 0.1
    assert sorted(state.target["params"]) == ["encoder", "projector"]  # no predictor


def test_target_keeps_running_statistics_of_its_own_batches():
    """Training mode: what the target itself makes of both views, one after the other; no mean."""
    run = tiny.make("byol")
    after, _ = tiny.train(run, range(1))
    nets = tiny.networks("byol")
    target = run.state.target
    for view in tiny.views(0):
        _, target = nets(target, view, until="projector")
    close(after.target["batch_stats"], target["batch_stats"], rtol=1e-5, atol=1e-6)
    own = after.target["batch_stats"]["encoder"]["bn_0"]["mean"]
    assert np.abs(own - after.batch_stats["encoder"]["bn_0"]["mean"]).max() > 1e-3


def test_moco_v3_is_the_references_loop():
    """The momentum encoder moves BEFORE the keys, with that step's momentum: losses of 4 steps."""
    run = tiny.make("moco_v3", target={"momentum": 0.5})
    _, ours = tiny.train(run, range(4))
    nets, method = tiny.networks("moco_v3"), run.method
    params, stats = run.state.params, run.state.batch_stats
    target = {k: v for k, v in run.state.target.items()}
    trace = jax.tree.map(jnp.zeros_like, params)
    expected = []

    @jax.jit
    def gradient(params, stats, target, views):
        def loss(params):
            variables = {"params": params, "batch_stats": stats}
            return method.loss(nets, variables, target, views, axis_name=None)

        return jax.value_and_grad(loss, has_aux=True)(params)

    for i in range(4):
        m = 1 - 0.5 * (1 + np.cos(np.pi * i / tiny.STEPS)) * (1 - 0.5)
        target["params"] = jax.tree.map(
            lambda k, q, m=m: m * k + (1 - m) * q,
            target["params"],
            {name: params[name] for name in target["params"]},
        )

        (value, outputs), grads = gradient(params, stats, target, tiny.views(i))
        trace = jax.tree.map(lambda t, g: 0.9 * t + g, trace, grads)
        params = jax.tree.map(lambda p, t: p - 0.05 * t, params, trace)
        stats, target["batch_stats"] = outputs.batch_stats, outputs.kept
        expected.append(float(value))
    np.testing.assert_allclose(ours, expected, rtol=1e-4)


def test_moco_v3_loss_is_the_sum_of_both_directions():
    run = tiny.make("moco_v3")
    nets, views = tiny.networks("moco_v3"), tiny.views(0)
    variables, target = tiny.variables(run.state), run.state.target
    queries, keys = [], []
    for view in views:
        out, variables = nets(variables, view)
        queries.append(out["predictor"])
        out, target = nets(target, view, until="projector")
        keys.append(out["projector"])
    expected = sum(
        losses.info_nce_in_batch(q, k, temperature=0.2).loss
        for q, k in zip(queries, keys[::-1], strict=True)
    )
    value, _ = run.method.loss(
        nets, tiny.variables(run.state), run.state.target, views, axis_name=None, temperature=0.2
    )
    np.testing.assert_allclose(value, expected, rtol=1e-6)


def test_moco_v2_queue_replaces_the_oldest_keys_in_the_batchs_order():
    """Three batches of 16 into 32 columns: the third wraps around; each key a unit column."""
    run = tiny.make("moco_v2", devices=8, target={"queue_size": 32, "momentum": 0.5})
    nets = tiny.networks("moco_v2")
    start = np.array(run.state.target["queue"])
    np.testing.assert_allclose(np.linalg.norm(start, axis=0), 1, rtol=1e-5)
    keys, state = [], run.state
    for i in range(3):
        out, _ = nets(jax.device_get(state.target), tiny.views(i)[1], until="projector")
        z = np.asarray(out["projector"])
        keys.append((z / np.linalg.norm(z, axis=1, keepdims=True)).T)
        state, _ = tiny.train(run, range(i, i + 1), state)
        if i == 0:
            after_one = np.array(state.target["queue"])
    np.testing.assert_allclose(after_one, np.hstack([keys[0], start[:, 16:]]), atol=2e-5)
    queue = state.target["queue"]
    np.testing.assert_allclose(queue, np.hstack([keys[2], keys[1]]), atol=2e-5)
    assert int(state.target["pointer"]) == 16


def test_moco_v2_copies_then_follows_the_query_encoder():
    run = tiny.make("moco_v2", target={"queue_size": 32, "momentum": 0.75})
    start = run.state
    shared = {name: start.params[name] for name in start.target["params"]}
    close(start.target["params"], shared, rtol=0, atol=0)
    after, _ = tiny.train(run, range(1))
    close(after.target["params"], momentum.move(start.target["params"], after.params, 0.75))


def test_moco_v2_queue_must_take_whole_batches():
    with pytest.raises(ValueError, match="queue_size 40 is not a multiple of batch_size 16.*=32"):
        run = tiny.make("moco_v2", target={"queue_size": 40})
        tiny.train(run, range(1))


@pytest.mark.parametrize("name", ["barlow_twins", "byol", "moco_v2", "moco_v3", "vicreg"])
def test_no_gradient_reaches_the_target(name):
    """Exactly zero for every parameter of it, while the trained ones have some."""
    options = {"momentum": 0.9} if name in ("barlow_twins", "vicreg") else tiny.TARGET.get(name)
    nets = tiny.networks(name)
    method, key = methods.load(name), jax.random.key(0)
    variables = nets.init(key, jnp.zeros((1, tiny.INPUTS)))
    given = {"key": key, "draw": lambda: nets.init(jax.random.key(1), jnp.zeros((1, 6)))}
    wanted = methods.wanted(method.init_target, given | (options or {}))
    target = method.init_target(nets, variables, **wanted)

    def loss(trained, moved):
        value, _ = method.loss(
            nets,
            {**variables, "params": trained},
            {**target, "params": moved},
            tiny.views(0),
            axis_name=None,
        )
        return value

    trained, moved = jax.jit(jax.grad(loss, (0, 1)))(variables["params"], target["params"])
    assert max(float(jnp.abs(g).max()) for g in jax.tree.leaves(trained)) > 1e-3
    for g in jax.tree.leaves(moved):
        np.testing.assert_array_equal(g, 0)
