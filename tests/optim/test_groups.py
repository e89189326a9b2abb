"""Rules by parameter path."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jax_bt import optim
from jax_bt.errors import UsageError


def problem():
    """Parameters and gradients of something like a ViT with a predictor."""
    rng = np.random.default_rng(0)
    shapes = {
        "encoder": {"cls_token": (1, 1, 3), "kernel": (4, 3), "bias": (3,)},
        "predictor": {"kernel": (3, 2), "bias": (2,)},
        "predictor_b": {"kernel": (3, 2)},
    }
    draw = lambda shape: jnp.asarray(rng.normal(size=shape), jnp.float32)  # noqa: E731
    both = [jax.tree.map(draw, shapes, is_leaf=lambda x: isinstance(x, tuple)) for _ in range(2)]
    return both[0], both[1]


def moves(name="sgd", steps=2, **options):
    """What every parameter has moved after some steps with one gradient."""
    params, grads = problem()
    optimizer = optim.make(name, 0.1, **{"weight_decay": 0.5, **options})
    state, now = optimizer.init(params), params
    for _ in range(steps):
        now, state, _ = optim.update(optimizer, grads, state, now)
    return jax.tree.map(lambda a, b: np.asarray(a - b), now, params), state


def close(a, b):
    np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-7)


def test_a_factor_of_the_rate_and_a_named_rate():
    plain = moves(steps=1)[0]
    ruled = moves(
        steps=1,
        bias_learning_rate=0.2,
        rates={"slow": lambda step: 0.01 + 0 * step},
        rules=(("^predictor/", {"rate": 3.0}), ("_b/kernel", {"rate": "slow"})),
    )[0]
    close(ruled["encoder"]["kernel"], plain["encoder"]["kernel"])
    close(ruled["encoder"]["bias"], 2 * plain["encoder"]["bias"])
    close(ruled["predictor"]["kernel"], 3 * plain["predictor"]["kernel"])
    close(ruled["predictor"]["bias"], 6 * plain["predictor"]["bias"])  # of its own rate
    close(ruled["predictor_b"]["kernel"], 0.1 * plain["predictor_b"]["kernel"])


def test_the_rate_of_weights_for_a_bias():
    ruled = moves(steps=1, bias_learning_rate=0.2, rules=(("predictor/b", {"rate": "weights"}),))[0]
    close(ruled["predictor"]["bias"], moves(steps=1)[0]["predictor"]["bias"])


def test_a_token_without_decay_and_adaptation():
    """A token has three dimensions, yet is no weight: by default it gets both."""
    params, grads = problem()
    token, gradient = params["encoder"]["cls_token"], grads["encoder"]["cls_token"]
    for name in ("lars", "lars_inside", "lars_popular", "larc"):
        rule = ("cls_token|pos_embed", {"decay": False, "adapt": False})
        ruled, plain = moves(name, 1, rules=(rule,))[0], moves(name, 1)[0]
        close(ruled["encoder"]["cls_token"], -0.1 * gradient)
        assert np.abs(plain["encoder"]["cls_token"] + 0.1 * gradient).max() > 0.01
        close(ruled["encoder"]["kernel"], plain["encoder"]["kernel"])
        decayed = moves(name, 1, rules=(("cls_token", {"adapt": False, "decay": 0.2}),))[0]
        close(decayed["encoder"]["cls_token"], -0.1 * (gradient + 0.2 * 0.5 * token))


def test_the_first_rule_decides_and_leaves_the_rest_as_it_was():
    rules = (("predictor/bias", {"decay": True}), ("predictor", {"rate": 0.0}))
    params, grads = problem()
    ruled = moves("lars", 1, rules=rules)[0]
    decayed = grads["predictor"]["bias"] + 0.5 * params["predictor"]["bias"]
    close(ruled["predictor"]["bias"], -0.1 * decayed)  # the second rule does not stop it
    assert not ruled["predictor"]["kernel"].any() and not ruled["predictor_b"]["kernel"].any()


@pytest.mark.parametrize("name", optim.OPTIMIZERS)
def test_a_frozen_part_has_neither_updates_nor_state(name):
    params, grads = problem()
    grads["encoder"]["kernel"] *= jnp.nan
    optimizer = optim.make(name, 0.1, weight_decay=0.5, rules=(("^encoder", {"frozen": True}),))
    state = optimizer.init(params)
    size = lambda tree: sum(leaf.size for leaf in jax.tree.leaves(tree))  # noqa: E731
    buffers = 2 if name.startswith("adam") else 1
    counters = size(state) - buffers * size([params["predictor"], params["predictor_b"]])
    assert 1 <= counters <= 2
    now, _, _ = jax.jit(lambda *args: optim.update(optimizer, *args))(grads, state, params)
    for key, value in params["encoder"].items():
        np.testing.assert_array_equal(now["encoder"][key], value)
    free = moves(name, 1)[0]
    close(now["predictor"]["kernel"] - params["predictor"]["kernel"], free["predictor"]["kernel"])


def test_a_frozen_array():
    """The tree of a bare array has the structure of the step."""
    optimizer = optim.sgd(lambda step: 0.1 * step, rules=(("^$", {"frozen": True}),))
    w = jnp.ones((2, 2))
    new, _, _ = optim.update(optimizer, w, optimizer.init(w), w, step=3)
    np.testing.assert_array_equal(new, w)


def test_clipping_compares_with_the_parameter_s_own_rate():
    """apex and solo-learn clip at the rate of the parameter's group."""
    options = {"clip": True, "trust_coefficient": 100.0}  # clipped everywhere: q = 1
    ruled = moves("larc", 1, **options, rules=(("predictor/", {"rate": 1e6}),))[0]
    plain = moves("larc", 1, **options)[0]
    close(ruled["encoder"]["kernel"], plain["encoder"]["kernel"])
    unclipped = moves("larc", 1, trust_coefficient=100.0)[0]  # at a rate of 0.1; 1e5 * q / 1e5 is q
    close(ruled["predictor"]["kernel"], 10 * unclipped["predictor"]["kernel"])


@pytest.mark.parametrize(
    ("rules", "message"),
    [
        ((("predicter/", {"rate": 0.5}),), "'predicter/' matches no parameter: .*predictor"),
        ((("zzz", {"rate": 0.5}),), "'zzz' matches no parameter: .*encoder/"),
        (
            (("predictor", {"rate": 0.5}), ("predictor_b", {"rate": 0.5})),
            "'predictor_b' never decides: earlier rules take 'predictor_b/kernel'",
        ),
    ],
)
def test_a_rule_that_decides_nothing_is_refused(rules, message):
    optimizer = optim.sgd(0.1, rules=rules)
    with pytest.raises(UsageError, match=message):
        jax.eval_shape(optimizer.init, problem()[0])


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ("predictor", "is no pair"),
        (("predictor", "rate"), "is no pair"),
        (("predictor", {"rate": 0.5}, {"decay": False}), "is no pair"),
        ((3, {"rate": 0.5}), "is no pair"),
        (("predictor(", {"rate": 0.5}), r"'predictor\(' is no regular expression"),
        (("a", {"rates": 0.5}), "sets 'rates': a rule sets decay, adapt, rate, frozen"),
        (("a", {"rate": "slow"}), "rate='slow' is not a factor from 0 or one of weights, bias"),
        (("a", {"rate": -1.0}), "rate=-1.0 is not a factor"),
        (("a", {"decay": float("nan")}), "decay=nan is not a factor"),
        (("a", {"adapt": 1.0}), "adapt=1.0 is not True or False"),
        (("a", {"frozen": "yes"}), "frozen='yes' is not True or False"),
    ],
)
def test_what_is_no_rule_is_refused_before_there_are_parameters(rule, message):
    with pytest.raises(UsageError, match=message):
        optim.sgd(0.1, rules=(rule,))
