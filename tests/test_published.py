"""The numbers of the published recipes as a run has them: rates at their batch, ends, fields."""

import pathlib
import runpy

import jax
import numpy as np
import pytest

from jax_bt import mesh as meshes
from jax_bt import run

CONFIGS = pathlib.Path(__file__).parent.parent / "configs"
SIZES = {"imagenet2012": 1281167, "cifar10": 50000}

# batch, epochs, optimiser, peak rate, last rate, weight decay, warm-up steps
RECIPES = {
    "barlow_r50": (2048, 1000, "lars", 1.6, 1.6e-3, 1e-6, 6250),
    "vicreg_r50": (2048, 1000, "lars", 1.6, 1.6e-3, 1e-6, 6250),
    "vicreg_r50x2": (2048, 1000, "lars", 1.6, 1.6e-3, 1e-6, 6250),
    "vicreg_r200x2": (2048, 1000, "lars", 1.6, 1.6e-3, 1e-6, 6250),
    "byol_r50": (4096, 1000, "lars", 3.2, 0, 1.5e-6, 3120),
    "simclr_r50": (4096, 1000, "lars_inside", 4.8, 0, 1e-6, 3120),
    "simsiam_r50": (512, 100, "sgd", 0.1, 0, 1e-4, 0),
    "moco_v2_r50": (256, 200, "sgd", 0.03, 0, 1e-4, 0),
    "moco_v3_r50": (4096, 1000, "lars", 4.8, 0, 1.5e-6, 3120),
    "swav_r50": (4096, 800, "larc", 4.8, 4.8e-3, 1e-6, 3120),
    "w_mse_r50": (256, 400, "adam", 2e-3, 8e-5, 1e-6, 500),
    "barlow_cifar10": (256, 1000, "larc", 0.3, 0, 1e-4, 1950),
    "vicreg_cifar10": (256, 1000, "larc", 0.3, 0, 1e-4, 1950),
    "byol_cifar10": (256, 1000, "larc", 1.0, 0, 1e-5, 1950),
    "simclr_cifar10": (256, 1000, "larc", 0.4, 0, 1e-4, 1950),
    "simsiam_cifar10": (256, 1000, "sgd", 0.5, 0, 1e-5, 1950),
    "moco_v2_cifar10": (512, 800, "sgd", 0.24, 0, 5e-4, 0),
    "moco_v3_cifar10": (256, 1000, "larc", 0.3, 0, 1e-6, 1950),
    "swav_cifar10": (256, 1000, "larc", 0.6, 0, 1e-6, 1950),
    "w_mse_cifar10": (512, 1000, "adam", 3e-3, 1.2e-4, 1e-6, 500),
}
# What else a recipe has of its own: (field of the config, value)
FIELDS = {
    "barlow_r50": [("loss.lambd", 0.0051), ("heads.projector", (8192,) * 3)],
    "vicreg_r200x2": [("encoder.width", 2), ("heads.projector", (8192,) * 3)],
    "byol_r50": [("target.momentum", 0.996)],
    "simclr_r50": [("loss.temperature", 0.1), ("gradient_scale", 2.0)],
    "simsiam_r50": [("optimizer.constant", ("predictor",)), ("optimizer.per_epoch", True)],
    "moco_v2_r50": [
        ("target.queue_size", 65536),
        ("target.momentum", 0.999),
        ("loss.temperature", 0.2),
        ("optimizer.per_epoch", True),
        ("encoder.zero_init_residual", False),
    ],
    "moco_v3_r50": [("target.momentum", 0.996), ("loss.temperature", 1.0)],
    "swav_r50": [
        ("loss.freeze_steps", 313),
        ("heads.prototypes", 3000),
        ("loss.temperature", 0.1),
        ("loss.epsilon", 0.05),
        ("loss.iterations", 3),
        ("optimizer.clip", False),
        ("optimizer.adapt_biases", True),
    ],
    "w_mse_r50": [("data.views", 4), ("loss.whitening_size", 256)],
    "barlow_cifar10": [("gradient_scale", 0.1), ("optimizer.trust_coefficient", 0.02)],
    "vicreg_cifar10": [("loss.halve_variance", False), ("optimizer.clip", True)],
    "byol_cifar10": [("target.momentum", 0.99), ("optimizer.adapt_biases", False)],
    "simclr_cifar10": [("loss.temperature", 0.2), ("heads.norm", False)],
    "moco_v2_cifar10": [("data.recipe", "cifar_lightly"), ("target.queue_size", 8192)],
    "moco_v3_cifar10": [("loss.temperature", 0.2), ("target.momentum", 0.99)],
    "swav_cifar10": [("target.queue_size", 3840), ("target.queue_start", 50 * 195)],
    "w_mse_cifar10": [("heads.projector", (1024, 64)), ("loss.whitening_size", 128)],
}


def build(name):
    c = runpy.run_path(str(CONFIGS / f"{name}.py"))["get_config"]()
    return c, run.build(c, SIZES[c.data.name], meshes.make_mesh(jax.devices()[:1]))


@pytest.mark.parametrize("name", RECIPES)
def test_recipe_is_the_published_one(name):
    c, built = build(name)
    batch, epochs, optimizer, peak, last, weight_decay, warmup = RECIPES[name]
    assert (c.batch_size, c.epochs, c.optimizer.name) == (batch, epochs, optimizer)
    assert c.optimizer.weight_decay == weight_decay
    rate = built.rates["learning_rate"]
    np.testing.assert_allclose(rate(warmup), peak, rtol=1e-6)
    np.testing.assert_allclose(rate(built.total_steps), last, rtol=1e-4, atol=1e-9)
    if warmup:
        assert rate(warmup - 1) < rate(warmup)
        start = {"swav_r50": 0.3}.get(name, 1e-4 * peak if optimizer == "larc" else None)
        if start is not None:
            np.testing.assert_allclose(rate(0), start, rtol=1e-5)
    for field, value in FIELDS.get(name, ()):
        found = c
        for part in field.split("."):
            found = found[part]
        assert found == value, field


def test_barlow_twins_biases_have_their_own_rate():
    rate = build("barlow_r50")[1].rates["bias_learning_rate"]
    np.testing.assert_allclose([rate(0), rate(6250), rate(625000)], [0, 0.0384, 3.84e-5], rtol=1e-6)


def test_the_rates_of_w_mse_fall_twice():
    _, built = build("w_mse_cifar10")
    steps = built.total_steps - 97 * np.array([51, 50, 25])
    rates = built.rates["learning_rate"](steps)
    np.testing.assert_allclose(rates, [3e-3, 6e-4, 1.2e-4], rtol=1e-6)
