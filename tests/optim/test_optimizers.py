"""Optimisers against steps of the code they come from: 50 each, with given random gradients.

The golden copies keep the parameters after some of the steps, and of ``lars_*`` four or five of the
eight parameters: the rule is one for each parameter by itself, and the buffers carry what is wrong
in any step to those after it. Among the gradients are zeros and tiny ones; one parameter starts at
zero; the first rate is 0.
"""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jax_bt import optim
from jax_bt.errors import UsageError

KEPT = np.array([0, 1, 2, 3, 4, 5, 10, 11, 20, 21, 30, 40, 49])  # of which there are parameters
ALL_DECAYED = ((".", {"decay": True}),)
VECTOR_PLAIN = (("^b$", {"decay": False, "adapt": False}),)

# file -> optimiser and the options that its settings do not name
FOREIGN = {
    "optim_sgd_plain": ("sgd", {}),
    "optim_sgd_momentum": ("sgd", {}),
    "optim_sgd_nesterov": ("sgd", {}),
    "optim_adam_l2": ("adam", {}),
    "optim_adam_eps": ("adam", {}),
    "optim_adamw": ("adamw", {"rules": ALL_DECAYED}),
    "optim_adamw_exclude": ("adamw", {}),
    "optim_larc_swav": ("larc", {}),
    "optim_larc_wd": ("larc", {}),
    "optim_larc_clip": ("larc", {}),
    "optim_lars_solo_clip": ("larc", {"adapt_biases": False}),
    "optim_lars_solo_noclip": ("larc", {"rules": VECTOR_PLAIN}),
    "optim_lars_solo_nesterov_all": ("larc", {}),
    "optim_lars_lightly": ("larc", {"adapt_biases": False}),
    "optim_lars_simclr": ("lars_inside", {}),
    "optim_lars_simclr_nesterov": ("lars_inside", {}),
    "optim_lars_simclr_popular": ("lars_popular", {}),
}
# name of a golden setting -> option
OURS = {
    "momentum": "momentum",
    "weight_decay": "weight_decay",
    "trust_coefficient": "trust_coefficient",
    "eta": "trust_coefficient",
    "eeta": "trust_coefficient",
    "clip": "clip",
    "clip_lr": "clip",
    "nesterov": "nesterov",
    "use_nesterov": "nesterov",
    "beta1": "b1",
    "beta2": "b2",
}
LARS = ("lars_barlow_b256", "lars_barlow_edge", "lars_vicreg_b256", "lars_vicreg_b512_wd")


def trajectory(optimizer, params, grads):
    """Parameters after each step; ``grads`` has the steps first."""

    def step(carry, grad):
        params, state = carry
        params, state, _ = optim.update(optimizer, grad, state, params)
        return (params, state), params

    return jax.jit(lambda p, g: jax.lax.scan(step, (p, optimizer.init(p)), g)[1])(params, grads)


def assert_golden(data, optimizer, dtype, rtol):
    """Every kept parameter within ``rtol`` of its largest value."""
    with jax.enable_x64(dtype == "float64"):
        cast = lambda kind: {n: jnp.asarray(data[f"{kind}/{n}"], dtype) for n in data["names"]}  # noqa: E731
        path = trajectory(optimizer, cast("init"), cast("grad"))
        for n in data["names"]:
            expected = data[f"param/{n}"]
            assert path[n].shape == data[f"grad/{n}"].shape and path[n].dtype == dtype
            atol = rtol * np.abs(expected).max()
            np.testing.assert_allclose(path[n][KEPT], expected, rtol=0, atol=atol, err_msg=n)


@pytest.mark.parametrize("name", FOREIGN)
# The reference's own float32 run is up to 8e-7 of the largest value from its float64 run. optax
# takes Adam's 1 - b2^t, about t / 1000, in float32: 3e-5 / t of each step, of which 50 make 1e-5 of
# the parameter that starts at zero.
@pytest.mark.parametrize(("dtype", "rtol"), [("float64", 1e-13), ("float32", 4e-6)])
def test_steps_are_the_foreign_ones(golden, name, dtype, rtol):
    data = golden(name)
    optimizer, given = FOREIGN[name]
    settings = dict(zip(data["hyper_names"].tolist(), data["hyper"].tolist(), strict=True))
    options = {OURS[k]: v for k, v in settings.items() if k in OURS}
    if "beta1" in settings:
        options["eps"] = settings["eps"]
    for flag in ("clip", "nesterov"):
        if flag in options:
            options[flag] = bool(options[flag])
    if dtype == "float32" and "adam" in optimizer:
        rtol = 1e-5
    rates = data["lr"]
    made = optim.make(optimizer, lambda step: jnp.asarray(rates)[step], **options, **given)
    assert_golden(data, made, dtype, rtol)


@pytest.mark.parametrize("name", LARS)
# Rounding alone is 4e-16 and 5e-7 here after 50 steps
@pytest.mark.parametrize(("dtype", "rtol"), [("float64", 1e-14), ("float32", 3e-6)])
def test_lars_is_the_reference_step_by_step(golden, name, dtype, rtol):
    data = golden(name)
    batch, epochs, length, weight_decay = data["hyper"]
    rate, bias_rate = (
        optim.schedules.warmup_cosine(peak, int(10 * length), int(epochs * length), peak * 1e-3)
        for peak in (0.2 * batch / 256, 0.0048 * batch / 256)
    )
    optimizer = optim.lars(
        rate, float(weight_decay), bias_learning_rate=bias_rate if "barlow" in name else None
    )
    assert_golden(data, optimizer, dtype, rtol)


def test_lars_of_a_bare_array():
    """Other people's parameters need no names: arrays, lists, tuples of them."""
    rng = np.random.default_rng(0)
    w, g = (jnp.asarray(rng.normal(size=(4, 3)), jnp.float32) for _ in range(2))
    optimizer = optim.lars(0.1, 0.01, 0.0, 0.02)
    updates, _ = optimizer.update(g, optimizer.init(w), w)
    decayed = np.asarray(g) + 0.01 * np.asarray(w)
    expected = -0.1 * 0.02 * np.linalg.norm(w) / np.linalg.norm(decayed) * decayed
    np.testing.assert_allclose(updates, expected, rtol=1e-5)
    params = [w, (w[0],)]
    updates, _ = optimizer.update(params, optimizer.init(params), params)
    np.testing.assert_allclose(updates[1][0], -0.1 * w[0], rtol=1e-6)


def test_the_ratio_is_optaxs_with_one_norm_each():
    """optax.scale_by_trust_ratio takes every norm twice, over a copy of the array."""
    rng = np.random.default_rng(0)
    w, g = (jnp.asarray(rng.normal(size=(4, 3)), jnp.float32) for _ in range(2))
    ours = optim.lars(1.0, 0.0, 0.0)
    theirs = optax.scale_by_trust_ratio(trust_coefficient=0.001)
    state = ours.init(w)
    updates, _ = ours.update(g, state, w)
    expected, _ = theirs.update(g, theirs.init(w), w)
    np.testing.assert_allclose(-updates, expected, rtol=1e-6)
    assert str(jax.make_jaxpr(ours.update)(g, state, w)).count("reduce_sum") == 2


def test_norms_of_half_precision_do_not_overflow():
    """1000 entries of 1000 have squares beyond float16; the sum is taken in float32."""
    w = jnp.full((10, 100), 1000.0, jnp.float16)
    optimizer = optim.lars(1.0, 0.0, 0.0, trust_coefficient=1.0)
    updates, _ = optimizer.update(w, optimizer.init(w), w)
    assert updates.dtype == jnp.float16
    np.testing.assert_allclose(updates, -w, rtol=1e-3)


@pytest.mark.parametrize("name", ["lars", "larc", "adamw"])
def test_rates_are_those_of_the_step_that_is_given(name):
    """An update that is left out does not delay the schedule; the moments do not count it."""
    rate = lambda step: 0.1 * (step + 1)  # noqa: E731
    optimizer = optim.make(name, rate, weight_decay=0.01)
    params = {"w": jnp.ones((2, 2)), "b": jnp.ones(2)}
    grads = [jax.tree.map(lambda p, i=i: p * (i + 1.0), params) for i in range(4)]
    state, moved = optimizer.init(params), params
    for step in (0, 1, 3):  # step 2 was not finite
        moved, state, _ = optim.update(optimizer, grads[step], state, moved, step=step)
    assert int(state.step) == 4
    by_hand = optim.make(name, lambda i: jnp.array([0.1, 0.2, 0.4])[i], weight_decay=0.01)
    expected, hand_state = params, by_hand.init(params)
    for step in (0, 1, 3):
        expected, hand_state, _ = optim.update(by_hand, grads[step], hand_state, expected)
    for key in params:
        np.testing.assert_allclose(moved[key], expected[key], rtol=1e-6)


def test_a_given_step_keeps_the_state_s_types():
    """Or the next step would compile anew, and a checkpoint would not fit."""
    optimizer = optim.sgd(lambda step: 0.1 * step)
    params = {"w": jnp.ones((2, 2))}
    state = optimizer.init(params)
    types = lambda tree: jax.tree.map(lambda x: (x.shape, x.dtype), tree)  # noqa: E731
    for step in (3, np.int64(3), jnp.int32(3)):
        assert types(optim.update(optimizer, params, state, params, step=step)[1]) == types(state)


def test_update_reports_norms_and_takes_any_optax_transformation():
    params = {"w": jnp.array([[3.0, 4.0]])}
    for optimizer in (optim.sgd(0.5), optax.sgd(0.5)):
        new, _, norms = optim.update(
            optimizer, {"w": jnp.array([[0.0, 2.0]])}, optimizer.init(params), params, step=7
        )
        np.testing.assert_allclose(new["w"], [[3.0, 3.0]])
        assert {k: float(v) for k, v in norms.items()} == {
            "gradient_norm": 2.0,
            "update_norm": 1.0,
            "parameter_norm": 5.0,
        }


def test_update_without_parameters_is_refused():
    optimizer = optim.sgd(0.5)
    with pytest.raises(ValueError, match="needs the parameters"):
        optimizer.update(jnp.ones(2), optimizer.init(jnp.ones(2)))


@pytest.mark.parametrize("name", optim.OPTIMIZERS)
def test_make_finds_every_optimizer_and_moves_downhill(name):
    optimizer = optim.make(name, 0.05, weight_decay=1e-4)
    params = {"w": jnp.array([[1.0, -2.0]]), "b": jnp.array([0.5])}
    state = optimizer.init(params)
    loss = lambda p: jnp.sum(p["w"] ** 2) + jnp.sum(p["b"] ** 2)  # noqa: E731
    before = loss(params)
    for _ in range(5):
        params, state, _ = optim.update(optimizer, jax.grad(loss)(params), state, params)
    assert loss(params) < before


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("lamb", {}, "'lamb' is not one of lars, lars_inside, lars_popular, larc, sgd"),
        ("sgd", {"clip": 1}, "sgd has no option 'clip': it has weight_decay, momentum, nesterov"),
        (
            "adam",
            {"momentum": 0.9},
            "adam has no option 'momentum': it has weight_decay, b1, b2, eps",
        ),
        ("lars", {}, "lars needs weight_decay"),
    ],
)
def test_make_names_what_there_is(name, options, message):
    with pytest.raises(UsageError, match=message):
        optim.make(name, 0.1, **options)


def test_ema_is_the_mean_in_the_target_s_types():
    target = {"a": jnp.ones(3, jnp.bfloat16), "b": jnp.zeros((2, 2))}
    params = {"a": jnp.full(3, 3.0), "b": jnp.full((2, 2), 8.0)}
    moved = optim.ema(target, params, jnp.float32(0.75))
    assert moved["a"].dtype == jnp.bfloat16 and moved["b"].dtype == jnp.float32
    np.testing.assert_array_equal(moved["a"], 1.5)
    np.testing.assert_array_equal(moved["b"], 2.0)
    np.testing.assert_array_equal(optim.ema(target, params, 1.0)["b"], target["b"])
