"""Every file in configs/ builds, in full and at smoke size, and its step fits together."""

import ast
import pathlib
import runpy

import jax
import numpy as np
import pytest

from jax_bt import config, errors, methods, run
from jax_bt import mesh as meshes

FILES = sorted((pathlib.Path(__file__).parent.parent / "configs").glob("*.py"))
SIZES = {"imagenet2012": 1281167, "cifar10": 50000, "digits": 1297, "jax_bt_smoke": 64}


def get(path, arg=""):
    return runpy.run_path(str(path))["get_config"](arg)


def build(c, devices=1):
    return run.build(c, SIZES[c.data.name], meshes.make_mesh(jax.devices()[:devices]))


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.stem)
def test_config_builds(path):
    """Encoder, heads, options, optimiser and recipe of the full run."""
    c = get(path)
    built = build(c)
    width = built.networks.modules["encoder"].width_out
    assert width in (128, 512, 2048, 4096)
    assert built.total_steps == c.steps or built.total_steps >= 100 * built.steps_per_epoch
    steps = np.linspace(0, built.total_steps - 1, 9).astype(int)
    rates = np.asarray(built.rates["learning_rate"](steps))
    assert np.isfinite(rates).all() and rates.max() > 0 and rates[-1] < 0.1 * rates.max()


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.stem)
def test_smoke_step_fits_together(path):
    """The initial state and, but for CIFAR's second helping, the whole step; traced only."""
    c = get(path, "smoke")
    built = build(c)
    state = jax.eval_shape(lambda: run.init_state(built, c))
    assert sorted(state.params) == sorted(built.networks.modules)
    if path.stem.endswith("_cifar10"):
        return
    views = tuple(
        jax.ShapeDtypeStruct((c.batch_size, r.size, r.size, 3), np.float32) for r in built.recipes
    )
    after, terms = jax.eval_shape(run.train_step(built, c), state, {"views": views})
    assert jax.tree.structure(after) == jax.tree.structure(state)
    assert [(a.shape, a.dtype) for a in jax.tree.leaves(after)] == [
        (b.shape, b.dtype) for b in jax.tree.leaves(state)
    ]
    assert terms["loss"].shape == ()


def test_every_method_has_a_config_of_each_size():
    short = {name: name.removesuffix("_twins") for name in methods.names()}
    stems = {path.stem for path in FILES}
    wanted = {f"{s}_{size}" for s in short.values() for size in ("r50", "cifar10", "digits")}
    assert wanted <= stems
    for path in FILES:
        method = get(path).method
        assert path.stem.startswith(f"{short[method]}_"), path.name


def test_configs_say_what_they_are():
    for path in FILES:
        line = ast.get_docstring(ast.parse(path.read_text())).splitlines()[0]
        assert line.endswith((".", ":")) and len(line) > 40, path.name


def test_an_option_of_another_method_is_refused():
    c = config.digits(method="vicreg")
    c.method = "barlow_twins"
    with pytest.raises(
        errors.UsageError, match="barlow_twins has no loss option 'covariance_weight': it has"
    ):
        build(c)


def test_separate_branches_come_from_the_config():
    c = config.smoke(config.digits(method="barlow_twins"))
    c.branches = "separate"
    c.encoder_b.width = 2
    modules = build(c).networks.modules
    assert modules["encoder_b"].width_out == 2 * modules["encoder"].width_out
    c.branches = "shared"
    with pytest.raises(errors.UsageError, match="branches='shared' with 1 fields in encoder_b"):
        build(c)


def test_views_are_taken_in_turn():
    c = config.imagenet_r50("w_mse")
    c.data.views = 3
    a, b = build_recipes(c, 2)
    assert build_recipes(c, 3) == (a, b, a)
    with pytest.raises(errors.UsageError, match="data.views=1: a method compares at least 2"):
        build_recipes(c, 1)


def build_recipes(c, views):
    c.data.views = views
    return build(c).recipes


def test_rates_follow_the_config():
    c = config.digits(method="simsiam")
    c.batch_size, c.steps = 128, 100  # 10 steps an epoch
    c.optimizer.name, c.optimizer.learning_rate, c.optimizer.final_fraction = "sgd", 1.0, 0.0
    c.optimizer.bias_learning_rate = None
    c.optimizer.warmup_epochs, c.optimizer.per_epoch = 0.0, True
    rate = build(c).rates["learning_rate"](np.arange(100)).reshape(10, 10)
    expected = 0.25 * (1 + np.cos(np.pi * np.arange(10) / 10))
    np.testing.assert_allclose(rate, np.repeat(expected[:, None], 10, axis=1), atol=1e-6)
    c.optimizer.per_epoch, c.optimizer.drops = False, (5.0, 2.0)
    rate = build(c).rates["learning_rate"](np.arange(100))
    np.testing.assert_allclose(
        rate[np.array([0, 49, 50, 79, 80, 99])], [0.5, 0.5, 0.1, 0.1, 0.02, 0.02]
    )


def test_constant_parts_keep_the_peak_rate():
    c = config.digits(method="simsiam")
    c.optimizer.name, c.optimizer.constant = "sgd", ("predictor",)
    optimizer = build(c).optimizer
    params = {n: {"kernel": np.ones((2, 2), np.float32)} for n in ("encoder", "predictor")}
    grads = jax.tree.map(np.ones_like, params)
    updates, _ = optimizer.update(grads, optimizer.init(params), params)
    peak = c.optimizer.learning_rate * c.batch_size / 256
    assert np.abs(updates["encoder"]["kernel"]).max() == 0  # warm-up starts at 0
    np.testing.assert_allclose(updates["predictor"]["kernel"], -peak * 1.0001, rtol=1e-3)
