"""Momentum encoders and queues: when they move, in which order, and that nothing trains them."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jax_bt import methods
from jax_bt.errors import UsageError
from jax_bt.methods import Method

from . import formulas, tiny


def close(a, b, rtol=1e-6, atol=1e-7):
    jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, rtol=rtol, atol=atol), a, b)


def moved(target, params, momentum):
    """momentum * target + (1 - momentum) * params, of the networks that the target has."""
    kept = {name: params[name] for name in target}
    return jax.tree.map(lambda t, p: momentum * t + (1 - momentum) * p, target, kept)


def test_byol_tau_is_the_references(golden):
    """One update at several of 200 steps, from targets of 1 and parameters of 0: tau itself."""
    method = Method(methods.load("byol"), target_options={"momentum": 0.99})
    target = {"params": {"encoder": jnp.ones(3)}, "batch_stats": {}}
    params = {"encoder": jnp.zeros(3), "predictor": jnp.zeros(2)}
    outputs = methods.Outputs({}, {}, (), ())
    expected = golden("byol_tau_schedule")["tau"]
    for step in (0, 1, 57, 100, 199):
        context = dataclasses.replace(tiny.context(step), total_steps=200)
        after = method.update_target(target, params, outputs, context)
        # 1 - tau cancels in float32: an absolute rounding of 6e-8
        np.testing.assert_allclose(after["params"]["encoder"], expected[step], rtol=0, atol=2e-7)


def test_byol_target_moves_after_the_optimiser():
    """target <- tau(s) target + (1 - tau(s)) params of step s, already updated."""
    run = tiny.make("byol", target={"momentum": 0.9})
    before = run.state
    for step in range(2):
        after, _ = tiny.train(run, range(step, step + 1), before)
        tau = 1 - (1 - 0.9) * (np.cos(np.pi * step / tiny.STEPS) + 1) / 2
        close(after.target["params"], moved(before.target["params"], after.params, tau))
        old, new = (s.target["params"]["encoder"]["linear_0"]["kernel"] for s in (before, after))
        assert np.abs(old - new).max() > 1e-3
        before = after


def test_byol_target_starts_from_another_seed():
    state = tiny.make("byol").state
    a, b = (p["encoder"]["linear_0"]["kernel"] for p in (state.params, state.target["params"]))
    assert a.shape == b.shape and np.abs(a - b).max() > 0.1
    assert sorted(state.target["params"]) == ["encoder", "projector"]  # no predictor


def test_target_keeps_running_statistics_of_its_own_batches():
    """Each view's mean enters with a tenth, as in any batch norm; nothing of the trained one's."""
    run = tiny.make("byol")
    after, _ = tiny.train(run, range(1))
    kernel = run.state.target["params"]["encoder"]["linear_0"]["kernel"]
    first, second = ((view @ kernel).mean(0) for view in tiny.views(0))
    own = after.target["batch_stats"]["encoder"]["bn_0"]["mean"]
    np.testing.assert_allclose(own, 0.9 * 0.1 * first + 0.1 * second, rtol=1e-4, atol=1e-6)
    assert np.abs(own - after.batch_stats["encoder"]["bn_0"]["mean"]).max() > 1e-3


def test_an_optional_target_is_a_copy_that_follows():
    run = tiny.make("vicreg", target={"momentum": 0.75, "cosine": False})
    after, _ = tiny.train(run, range(1))
    close(run.state.target["params"], run.state.params, rtol=0, atol=0)
    close(after.target["params"], moved(run.state.params, after.params, 0.75))
    assert tiny.make("vicreg").state.target == ()


def test_moco_v3_is_the_references_loop():
    """The momentum encoder moves BEFORE the keys, with that step's momentum: losses of 4 steps."""
    run = tiny.make("moco_v3", target={"momentum": 0.5})
    _, ours = tiny.train(run, range(4))
    nets = tiny.networks("moco_v3")
    params, stats, target = run.state.params, run.state.batch_stats, dict(run.state.target)
    trace = jax.tree.map(jnp.zeros_like, params)
    expected = []

    @jax.jit
    def gradient(params, stats, target, views):
        def loss(params):
            variables = {"params": params, "batch_stats": stats}
            return run.method.loss(nets, variables, target, views, tiny.context())

        return jax.value_and_grad(loss, has_aux=True)(params)

    for i in range(4):
        momentum = 1 - 0.5 * (1 + np.cos(np.pi * i / tiny.STEPS)) * (1 - 0.5)
        target["params"] = moved(target["params"], params, momentum)
        (value, outputs), grads = gradient(params, stats, target, tiny.views(i))
        trace = jax.tree.map(lambda t, g: 0.9 * t + g, trace, grads)
        params = jax.tree.map(lambda p, t: p - 0.05 * t, params, trace)
        stats, target["batch_stats"] = outputs.batch_stats, outputs.kept
        expected.append(float(value))
    np.testing.assert_allclose(ours, expected, rtol=1e-4)


def test_moco_v3_loss_is_the_sum_of_both_directions():
    """Predictions of each view against the momentum encoder's projections of the other."""
    state, nets = tiny.make("moco_v3").state, tiny.networks("moco_v3")
    variables, views = tiny.variables(state), tiny.views(0)
    target = tiny.others(state.target)
    names = ("encoder", "projector", "predictor")
    q_a, q_b = (tiny.through(nets, variables, view, *names) for view in views)
    k_a, k_b = (tiny.through(nets, target, view, *names[:2]) for view in views)
    expected = formulas.info_nce(q_a, k_b, 0.2) + formulas.info_nce(q_b, k_a, 0.2)
    method = Method(methods.load("moco_v3"), loss_options={"temperature": 0.2})
    value, _ = tiny.loss(method, nets, variables, target, views, tiny.context())
    np.testing.assert_allclose(value, expected, rtol=1e-5)


def test_moco_v2_asks_for_the_second_views_key():
    """-mean log of the key's share among the key and the queue, T = 0.2; one direction."""
    state, nets = tiny.make("moco_v2").state, tiny.networks("moco_v2")
    target = tiny.others(state.target)
    view_a, view_b = tiny.views(0)
    q = tiny.through(nets, tiny.variables(state), view_a, "encoder", "projector")
    k = tiny.through(nets, target, view_b, "encoder", "projector")
    q, k = formulas.unit(q), formulas.unit(k)
    right, wrong = np.exp(np.sum(q * k, axis=1) / 0.2), np.exp(q @ state.target["queue"] / 0.2)
    method = Method(methods.load("moco_v2"))
    value, _ = tiny.loss(
        method, nets, tiny.variables(state), target, (view_a, view_b), tiny.context()
    )
    np.testing.assert_allclose(value, -np.mean(np.log(right / (right + wrong.sum(1)))), rtol=1e-5)


def test_moco_v2_queue_replaces_the_oldest_keys_in_the_batchs_order():
    """Three batches of 16 into 32 columns: the third wraps around; each key a unit column."""
    run = tiny.make("moco_v2", devices=8, target={"queue_size": 32, "momentum": 0.5})
    nets = tiny.networks("moco_v2")
    start = np.array(run.state.target["queue"])
    np.testing.assert_allclose(np.linalg.norm(start, axis=0), 1, rtol=1e-5)
    keys, state = [], run.state
    for i in range(3):
        target = jax.device_get(state.target)
        z = tiny.through(nets, target, tiny.views(i)[1], "encoder", "projector")
        keys.append(formulas.unit(z).T)
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
    close(start.target["params"], start.params, rtol=0, atol=0)
    after, _ = tiny.train(run, range(1))
    close(after.target["params"], moved(start.target["params"], after.params, 0.75))


def test_moco_v2_queue_must_take_whole_batches():
    with pytest.raises(UsageError, match="queue_size 40 is not a multiple of batch_size 16.*=32"):
        tiny.train(tiny.make("moco_v2", target={"queue_size": 40}), range(1))


@pytest.mark.parametrize("name", ["barlow_twins", "byol", "moco_v2", "moco_v3", "vicreg"])
def test_no_gradient_reaches_the_target(name):
    """Exactly zero for every parameter of it, while the trained ones have some."""
    options = {"momentum": 0.9} if name in ("barlow_twins", "vicreg") else tiny.TARGET.get(name, {})
    method, nets = Method(methods.load(name), target_options=options), tiny.networks(name)
    variables = jax.jit(nets.init)(jax.random.key(0))
    target = method.init_target(nets, variables, tiny.context())

    def loss(trained, kept):
        online, slow = {**variables, "params": trained}, {**target, "params": kept}
        return method.loss(nets, online, slow, tiny.views(0), tiny.context())[0]

    trained, kept = jax.jit(jax.grad(loss, (0, 1)))(variables["params"], target["params"])
    assert max(float(jnp.abs(g).max()) for g in jax.tree.leaves(trained)) > 1e-3
    for g in jax.tree.leaves(kept):
        np.testing.assert_array_equal(g, 0)
