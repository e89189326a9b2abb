"""Optimisers against the reference code's steps, and against their formulas written out in numpy.

The golden copies keep four or five of the eight parameters, the rule being one for each parameter
by itself, and of the fifty steps all gradients but the parameters after some: the momentum carries
what is wrong in any step to those after it.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jax_bt import optim, schedules

KEPT = np.array([0, 1, 2, 3, 4, 5, 10, 11, 20, 21, 30, 40, 49])  # of which there are parameters
LARS = ("lars_barlow_b256", "lars_barlow_edge", "lars_vicreg_b256", "lars_vicreg_b512_wd")


def trajectory(optimizer, params, grads):
    """Parameters after each step; ``grads`` has the steps first."""

    def step(carry, grad):
        params, state = carry
        params, state, _ = optim.update(optimizer, grad, state, params)
        return (params, state), params

    return jax.jit(lambda p, g: jax.lax.scan(step, (p, optimizer.init(p)), g)[1])(params, grads)


def problem(steps=12):
    """Parameters of both kinds and random gradients, float64."""
    rng = np.random.default_rng(0)
    shapes = {"encoder": {"kernel": (4, 3), "bias": (3,)}, "predictor": {"kernel": (3, 2)}}
    draw = lambda shape: rng.normal(size=shape)  # noqa: E731
    is_shape = lambda x: isinstance(x, tuple)  # noqa: E731
    params = jax.tree.map(draw, shapes, is_leaf=is_shape)
    return params, jax.tree.map(lambda s: draw((steps, *s)), shapes, is_leaf=is_shape)


def momentum_loop(p, grads, direction, rate, momentum=0.9, inside=False):
    """The update in plain numpy: ``direction(g, p, step)`` is what enters the buffer."""
    p, m, path = p.copy(), np.zeros_like(p), []
    for step, g in enumerate(grads):
        m = momentum * m + direction(g, p, step) * (rate(step) if inside else 1)
        p = p - m * (1 if inside else rate(step))
        path.append(p)
    return np.stack(path)


@pytest.mark.parametrize("name", LARS)
# Of a parameter's largest value; rounding alone is 4e-16 and 5e-7 here after 50 steps
@pytest.mark.parametrize(("dtype", "rtol"), [("float64", 1e-14), ("float32", 3e-6)])
def test_lars_is_the_reference_step_by_step(golden, name, dtype, rtol):
    data = golden(name)
    batch, epochs, length, weight_decay = data["hyper"]
    rate, bias_rate = (
        schedules.warmup_cosine(peak, int(10 * length), int(epochs * length), peak * 1e-3)
        for peak in (0.2 * batch / 256, 0.0048 * batch / 256)
    )
    optimizer = optim.lars(
        rate, float(weight_decay), bias_learning_rate=bias_rate if "barlow" in name else None
    )
    with jax.enable_x64(dtype == "float64"):
        cast = lambda kind: {n: jnp.asarray(data[f"{kind}/{n}"], dtype) for n in data["names"]}  # noqa: E731
        path = trajectory(optimizer, cast("init"), cast("grad"))
        for n in data["names"]:
            expected = data[f"param/{n}"]
            assert path[n].shape == data[f"grad/{n}"].shape and path[n].dtype == dtype
            atol = rtol * np.abs(expected).max()
            np.testing.assert_allclose(path[n][KEPT], expected, rtol=0, atol=atol, err_msg=n)


def test_lars_inside_has_the_rate_in_the_buffer():
    params, grads = problem()
    rate = schedules.warmup_cosine(0.5, 4, 12)
    optimizer = optim.lars_inside(rate, 0.1, trust_coefficient=0.02)
    with jax.enable_x64(True):
        path = trajectory(optimizer, params, grads)

        def direction(g, p, step):
            g = g + 0.1 * p
            return 0.02 * np.linalg.norm(p) / np.linalg.norm(g) * g

        floats = lambda step: float(rate(step))  # noqa: E731
        p, g = params["encoder"]["kernel"], grads["encoder"]["kernel"]
        inside = momentum_loop(p, g, direction, floats, inside=True)
        outside = momentum_loop(p, g, direction, floats)
        np.testing.assert_allclose(path["encoder"]["kernel"], inside, rtol=1e-12)
        assert np.abs(inside - outside).max() > 1e-3
        p, g = params["encoder"]["bias"], grads["encoder"]["bias"]
        plain = momentum_loop(p, g, lambda g, p, step: g, floats, inside=True)
        np.testing.assert_allclose(path["encoder"]["bias"], plain, rtol=1e-12)


@pytest.mark.parametrize("clip", [False, True])
def test_larc_is_its_formula(clip):
    params, grads = problem()
    grads["predictor"]["kernel"][3] = 0.0  # a gradient of norm 0: neither decay nor adaptation
    rate = schedules.warmup_cosine(0.5, 4, 12)
    optimizer = optim.larc(rate, 0.1, trust_coefficient=0.3, clip=clip, adapt_biases=not clip)

    def direction(g, p, step):
        p_norm, g_norm = np.linalg.norm(p), np.linalg.norm(g)
        if not (p_norm and g_norm):
            return g
        q = 0.3 * p_norm / (g_norm + 0.1 * p_norm + 1e-8)
        if clip:
            q = min(q / float(rate(step)), 1.0) if step else 1.0
        return q * (g + 0.1 * p)

    with jax.enable_x64(True):
        path = trajectory(optimizer, params, grads)
        adapted = [("encoder", "kernel"), ("predictor", "kernel")]
        for a, b in [*adapted, ("encoder", "bias")]:
            rule = direction if not clip or (a, b) in adapted else lambda g, p, step: g
            expected = momentum_loop(
                params[a][b], grads[a][b], rule, lambda step: float(rate(step))
            )
            np.testing.assert_allclose(path[a][b], expected, rtol=1e-12)


def test_sgd_is_torchs():
    params, grads = problem()
    with jax.enable_x64(True):
        path = trajectory(optim.sgd(0.1, weight_decay=0.01), params, grads)
        for a, b in [("encoder", "kernel"), ("encoder", "bias")]:
            expected = momentum_loop(
                params[a][b], grads[a][b], lambda g, p, step: g + 0.01 * p, lambda step: 0.1
            )
            np.testing.assert_allclose(path[a][b], expected, rtol=1e-12)


@pytest.mark.parametrize("make", [optim.adamw, optim.adam])
def test_adamw_decays_weights_only_and_adam_every_gradient(make):
    params, grads = problem()
    coupled = 0.1 if make is optim.adam else 0.0
    with jax.enable_x64(True):
        path = trajectory(make(0.01, weight_decay=0.1), params, grads)
        for name, decay in (("kernel", 0.1 - coupled), ("bias", 0.0)):
            p = params["encoder"][name].copy()
            m, v = np.zeros_like(p), np.zeros_like(p)
            for t, g in enumerate(grads["encoder"][name], start=1):
                g = g + coupled * p
                m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g**2
                unit = m / (1 - 0.9**t) / (np.sqrt(v / (1 - 0.999**t)) + 1e-8)
                p = p - 0.01 * (unit + decay * p)
                np.testing.assert_allclose(path["encoder"][name][t - 1], p, rtol=1e-12)


def test_rate_groups_follow_the_path():
    params, grads = problem()
    params["predictor_b"] = {"kernel": params["predictor"]["kernel"]}  # no part of "predictor"
    grads["predictor_b"] = {"kernel": grads["predictor"]["kernel"]}
    one = {"predictor": 0.5, "encoder/bias": lambda step: 0.0}
    with jax.enable_x64(True):
        grouped = trajectory(optim.sgd(0.1, rate_groups=one), params, grads)
        plain = trajectory(optim.sgd(0.1), params, grads)
        fast = trajectory(optim.sgd(0.5), params, grads)
        equal = np.testing.assert_array_equal
        equal(grouped["encoder"]["kernel"], plain["encoder"]["kernel"])
        equal(grouped["predictor_b"]["kernel"], plain["predictor_b"]["kernel"])
        equal(grouped["predictor"]["kernel"], fast["predictor"]["kernel"])
        for bias in grouped["encoder"]["bias"]:  # a rate of 0 freezes
            equal(bias, params["encoder"]["bias"])


def test_a_rate_group_of_nothing_is_refused():
    with pytest.raises(ValueError, match="no parameter's path starts with 'predicter'"):
        optim.sgd(0.1, rate_groups={"predicter": 0.5}).init(problem()[0])


def test_update_reports_norms():
    params = {"w": jnp.array([[3.0, 4.0]])}
    optimizer = optim.sgd(0.5)
    new, _, norms = optim.update(
        optimizer, {"w": jnp.array([[0.0, 2.0]])}, optimizer.init(params), params
    )
    np.testing.assert_allclose(new["w"], [[3.0, 3.0]])
    assert {k: float(v) for k, v in norms.items()} == {
        "gradient_norm": 2.0,
        "update_norm": 1.0,
        "parameter_norm": 5.0,
    }


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


def test_make_names_the_choices():
    with pytest.raises(ValueError, match="'lamb' is not one of lars, lars_inside, larc, sgd"):
        optim.make("lamb", 0.1)
    with pytest.raises(ValueError, match="'trust': sgd has learning_rate, weight_decay, momentum"):
        optim.make("sgd", 0.1, trust=1)
