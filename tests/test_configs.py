"""Every file in configs/ builds, in full and at smoke size, and its step fits together."""

import pathlib
import re
import runpy

import jax
import numpy as np
import pytest

from jax_bt import config, methods, optim
from jax_bt.devices.mesh import make_mesh
from jax_bt.errors import UsageError
from jax_bt.train.build import build

ROOT = pathlib.Path(__file__).parent.parent
PAGE = ROOT / "docs" / "config.md"
FILES = sorted((ROOT / "configs").glob("*.py"))
VARIANTS = {"hsic_barlow": "barlow", "vibcreg": "vicreg"}  # options of another method
SIZES = {
    "imagenet2012": 1281167,
    "cifar10": 50000,
    "digits": 1297,
    "jax_bt_smoke": 64,
    "emoji.npz": 1529,
    "coco_captions": 113287,
    "ESC-50-master": 1600,
    "esc10.npz": 400,
}


def get(path, arg=""):
    return runpy.run_path(str(path))["get_config"](arg)


def made(c):
    return build(c, make_mesh(jax.devices()[:1]), train_size=SIZES[c.data.name])


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.stem)
def test_config_builds(path):
    """Encoder, heads, options, optimiser and recipe of the full run; its rate rises and falls."""
    c = get(path)
    run = made(c)
    stem, _, size = path.stem.rpartition("_")
    widths = {
        "digits": 128,
        "cifar10": 512,
        "r50": 2048,
        "r50x2": 4096,
        "r200x2": 4096,
        "small": 384,
        "emoji": 128,
        "coco": 2048,
        "esc50": 512,
        "esc10": 128,
        "convnext": 768,
    }
    assert run.networks.modules["encoder"].width_out == widths[size]
    method = VARIANTS.get(stem, stem.removesuffix("_vit"))
    assert run.method.name.removesuffix("_twins") == method
    rates = run.rates["learning_rate"](np.arange(0, run.total_steps, run.steps_per_epoch))
    assert 0 <= rates.min() and 0 < rates.max() < 10 and rates[-1] < 0.1 * rates.max()


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.stem)
def test_smoke_step_fits_together(path):
    """Traced only: a step takes a state and a batch, and returns a state of the same types."""
    run = made(get(path, "smoke"))
    assert (run.total_steps, run.data.batch_size) == (4, 16)
    state, batch = run.abstract()
    assert sorted(state.params) == sorted(run.networks.modules)
    # But for recipe and optimiser the steps of the small ones are those of the large one.
    if path.stem.endswith(("_cifar10", "_digits", "_emoji", "_esc10")):
        return
    after, metrics = jax.eval_shape(run.train_step, state, batch)
    assert jax.tree.structure(after) == jax.tree.structure(state)
    types = ([(x.shape, x.dtype) for x in jax.tree.leaves(tree)] for tree in (after, state))
    assert next(types) == next(types)
    assert metrics.terms["loss"].shape == ()


def test_every_method_has_a_config_of_each_size():
    short = {name.removesuffix("_twins") for name in methods.names()}
    stems = {path.stem for path in FILES}
    assert {f"{s}_{size}" for s in short for size in ("r50", "cifar10", "digits")} <= stems


def test_the_argument_of_a_config_is_smoke_or_nothing():
    with pytest.raises(UsageError, match="config argument 'smok': write nothing or :smoke behind"):
        config.sized(config.digits(), "smok")


def test_separate_branches_come_from_the_config():
    c = config.smoke(config.digits(method="barlow_twins"))
    c.branches = "separate"
    c.encoder_b.width = 2
    modules = made(c).networks.modules
    assert modules["encoder_b"].width_out == 2 * modules["encoder"].width_out
    c.branches = "shared"
    with pytest.raises(UsageError, match="encoder_b.width=2: the branches share one encoder"):
        made(c)


def test_rates_follow_the_config():
    c = config.digits(method="simsiam")
    c.batch_size, c.steps = 128, 100  # 10 steps per epoch
    c.optimizer.name, c.optimizer.learning_rate, c.optimizer.final_fraction = "sgd", 1.0, 0.0
    c.optimizer.bias_learning_rate = None
    c.optimizer.warmup_epochs, c.optimizer.per_epoch = 0.0, True
    rate = made(c).rates["learning_rate"](np.arange(100)).reshape(10, 10)
    expected = 0.25 * (1 + np.cos(np.pi * np.arange(10) / 10))
    np.testing.assert_allclose(rate, np.repeat(expected[:, None], 10, axis=1), atol=1e-12)
    c.optimizer.per_epoch, c.optimizer.drops = False, (5.0, 2.0)
    rate = made(c).rates["learning_rate"](np.array([0, 49, 50, 79, 80, 99]))
    np.testing.assert_allclose(rate, [0.5, 0.5, 0.1, 0.1, 0.02, 0.02])


def test_a_rule_keeps_the_predictors_rate_at_the_peak():
    """As SimSiam's --fix-pred-lr; the warm-up of all the others starts at 0."""
    c = config.digits(method="simsiam")
    c.optimizer.name = "sgd"
    c.optimizer.rules = (("^predictor/", {"rate": "constant"}),)
    optimizer = made(c).optimizer
    params = {n: {"kernel": np.ones((2, 2), np.float32)} for n in ("encoder", "predictor")}
    grads = jax.tree.map(np.ones_like, params)
    new, _, _ = optim.update(optimizer, grads, optimizer.init(params), params, step=0)
    assert (new["encoder"]["kernel"] == 1).all()
    peak = 1.0 * 256 / 256  # times a gradient of 1 and a decay of 1e-4
    np.testing.assert_allclose(new["predictor"]["kernel"], 1 - peak * (1 + 1e-4), atol=1e-6)


def test_cifar_configs_have_solo_learns_lars_where_they_use_it():
    larc, sgd = (config.cifar10("byol", optimizer=name).optimizer for name in ("larc", "sgd"))
    assert (larc.trust_coefficient, larc.clip, larc.adapt_biases) == (0.02, True, False)
    assert sgd.trust_coefficient is sgd.clip is sgd.adapt_biases is None  # sgd has no such options


def renewed(page):
    """The page with its two tables as the code prints them."""
    tables = iter([config.table(), methods.table()])
    return re.sub(r"(?:^\|.*\n)+", lambda _: next(tables), page, flags=re.M)


def test_the_page_of_the_fields_is_current():
    """If it is not, `python tests/test_configs.py` writes it."""
    text = PAGE.read_text()
    assert text == renewed(text)
    assert f"{config.table()}\n## Options of the methods" in text


if __name__ == "__main__":
    PAGE.write_text(renewed(PAGE.read_text()))
