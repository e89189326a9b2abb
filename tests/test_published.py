"""What a run makes of each config is what its source says: rates at their peak and end, options.

Sources state rates per batch, warm-up in epochs and decays in their own code's terms; a run turns
the fields of a config into steps and rates. Each row below is read off the file that it links to.
"""

import pathlib
import runpy
from typing import Any, NamedTuple

import jax
import numpy as np
import pytest

from jax_bt.devices.mesh import make_mesh
from jax_bt.train.build import build

CONFIGS = pathlib.Path(__file__).parent.parent / "configs"
SIZES = {"imagenet2012": 1281167, "cifar10": 50000}
GITHUB = "https://github.com/"
BYOL = GITHUB + "google-deepmind/deepmind-research/blob/master/byol/configs/byol.py"
SOLO = GITHUB + "vturrisi/solo-learn/blob/main/scripts/pretrain/cifar/"
W_MSE = GITHUB + "htdt/self-supervised#usage"
VICREG = GITHUB + "facebookresearch/vicreg/blob/main/main_vicreg.py"
VICREGL = GITHUB + "facebookresearch/VICRegL/blob/main/main_vicregl.py"
# solo-learn's LARS: eta, clip_lr, exclude_bias_n_norm; its warm-up starts at 3e-5 (of 0.3)
SOLO_LARS = {
    "optimizer.trust_coefficient": 0.02,
    "optimizer.clip": True,
    "optimizer.adapt_biases": False,
    "optimizer.warmup_fraction": 1e-4,
}


class Recipe(NamedTuple):
    """Numbers of a source; rates are those at its batch."""

    source: str
    batch: int
    epochs: int
    optimizer: str
    peak: float
    last: float
    decay: float
    warmup: int  # steps
    fields: dict[str, Any]


RECIPES = {
    "barlow_r50": Recipe(
        GITHUB + "facebookresearch/barlowtwins/blob/main/main.py",
        *(2048, 1000, "lars", 1.6, 1.6e-3, 1e-6, 6250),
        {"loss.lambd": 0.0051, "heads.projector": (8192,) * 3},
    ),
    "vicreg_r50": Recipe(VICREG, 2048, 1000, "lars", 1.6, 1.6e-3, 1e-6, 6250, {}),
    "vicreg_r50x2": Recipe(
        VICREG, 2048, 1000, "lars", 1.6, 1.6e-3, 1e-6, 6250, {"encoder.width": 2}
    ),
    "vicreg_r200x2": Recipe(
        VICREG, 2048, 1000, "lars", 1.6, 1.6e-3, 1e-6, 6250, {"encoder.name": "resnet200"}
    ),
    "vicregl_r50": Recipe(
        VICREGL,
        *(2048, 300, "lars", 1.6, 1.6e-3, 1e-6, 6250),
        {
            "heads.projector": (8192,) * 3,
            "heads.maps_projector": (512,) * 3,
            "heads.layer_norm": False,
            "loss.alpha": 0.9,
            "loss.num_matches": (20, 4),
        },
    ),
    "vicregl_convnext": Recipe(
        VICREGL,
        *(576, 400, "adamw", 1.125e-3, 1.125e-6, 0.05, 22240),
        {
            "encoder.drop_path": 0.1,
            "encoder.layer_scale": 0.0,
            "encoder.norm_first": True,
            "heads.maps_projector": (512,) * 3,
            "heads.layer_norm": True,
            "loss.alpha": 0.9,
            "loss.num_matches": (20, 4),
        },
    ),
    "byol_r50": Recipe(BYOL, 4096, 1000, "lars", 3.2, 0, 1.5e-6, 3120, {"target.momentum": 0.996}),
    "simclr_r50": Recipe(
        GITHUB + "google-research/simclr/blob/master/tf2/run.py",
        *(4096, 1000, "lars_inside", 4.8, 0, 1e-6, 3120),
        {"loss.temperature": 0.1, "gradient_scale": 2.0},  # it sums the two views' means
    ),
    "simsiam_r50": Recipe(
        GITHUB + "facebookresearch/simsiam#unsupervised-pre-training",
        *(512, 100, "sgd", 0.1, 0, 1e-4, 0),
        {
            "optimizer.rules": (("^predictor/", {"rate": "constant"}),),  # --fix-pred-lr
            "optimizer.per_epoch": True,
        },
    ),
    "moco_v2_r50": Recipe(
        GITHUB + "facebookresearch/moco#unsupervised-training",
        *(256, 200, "sgd", 0.03, 0, 1e-4, 0),
        {
            "target.queue_size": 65536,
            "target.momentum": 0.999,
            "loss.temperature": 0.2,
            "optimizer.per_epoch": True,
            "encoder.zero_init_residual": False,
        },
    ),
    "moco_v3_r50": Recipe(
        GITHUB + "facebookresearch/moco-v3/blob/main/CONFIG.md",
        *(4096, 1000, "lars", 4.8, 0, 1.5e-6, 3120),
        {"target.momentum": 0.996, "loss.temperature": 1.0},
    ),
    "swav_r50": Recipe(
        GITHUB + "facebookresearch/swav/blob/main/scripts/swav_800ep_pretrain.sh",
        *(4096, 800, "larc", 4.8, 4.8e-3, 1e-6, 3120),
        {
            "optimizer.warmup_fraction": 0.3 / 4.8,
            "loss.freeze_steps": 313,
            "heads.prototypes": 3000,
            "loss.temperature": 0.1,
            "loss.epsilon": 0.05,
            "loss.iterations": 3,
            "optimizer.clip": None,
            "optimizer.adapt_biases": None,
        },
    ),
    "deepcluster_v2_r50": Recipe(
        GITHUB + "facebookresearch/swav/blob/main/scripts/deepclusterv2_800ep_pretrain.sh",
        *(4096, 800, "larc", 4.8, 4.8e-3, 1e-6, 3120),
        {
            "optimizer.warmup_fraction": 0.3 / 4.8,
            "target.clusters": (3000,) * 3,
            "target.iterations": 10,
            "loss.temperature": 0.1,
            "optimizer.clip": None,
        },
    ),
    "obow_r50": Recipe(
        GITHUB + "valeoai/obow/blob/main/config/ImageNetFull/ResNet50_OBoW_full.py",
        *(256, 200, "sgd", 0.03, 3e-5, 1e-4, 50040),
        {
            "heads.levels": ("layer3", "layer4"),
            "target.words": 8192,
            "target.momentum": 0.99,
            "loss.kappa": 8.0,
            "loss.inverse_delta": 15.0,
        },
    ),
    "w_mse_r50": Recipe(  # of its authors' larger images: none of theirs is for ImageNet
        W_MSE,
        *(256, 400, "adam", 2e-3, 8e-5, 1e-6, 500),
        {"data.views": 4, "loss.whitening_size": 256, "heads.projector": (1024, 128)},
    ),
    "barlow_cifar10": Recipe(
        SOLO + "barlow.yaml",
        *(256, 1000, "larc", 0.3, 0, 1e-4, 1950),
        {"gradient_scale": 0.1, "loss.lambd": 0.0051, **SOLO_LARS},  # scale_loss
    ),
    "vicreg_cifar10": Recipe(
        SOLO + "vicreg.yaml",
        *(256, 1000, "larc", 0.3, 0, 1e-4, 1950),
        {"loss.halve_variance": False, "heads.projector": (2048,) * 3, **SOLO_LARS},
    ),
    "byol_cifar10": Recipe(
        SOLO + "byol.yaml",
        *(256, 1000, "larc", 1.0, 0, 1e-5, 1950),
        {"target.momentum": 0.99, **SOLO_LARS},
    ),
    "simclr_cifar10": Recipe(
        SOLO + "simclr.yaml",
        *(256, 1000, "larc", 0.4, 0, 1e-4, 1950),
        {"loss.temperature": 0.2, "heads.projector": (2048, 256), **SOLO_LARS},
    ),
    "simsiam_cifar10": Recipe(
        SOLO + "simsiam.yaml",
        256,
        1000,
        "sgd",
        0.5,
        0,
        1e-5,
        1950,
        {"heads.predictor": (512, 2048)},
    ),
    "moco_v3_cifar10": Recipe(
        SOLO + "mocov3.yaml",
        *(256, 1000, "larc", 0.3, 0, 1e-6, 1950),
        {"loss.temperature": 0.2, "target.momentum": 0.99, **SOLO_LARS},
    ),
    "swav_cifar10": Recipe(
        SOLO + "swav.yaml",
        *(256, 1000, "larc", 0.6, 0, 1e-6, 1950),
        {
            "heads.prototypes": 3000,
            "loss.freeze_steps": 2 * 195,  # epochs
            "target.queue_size": 3840,
            "target.queue_start": 50 * 195,
            **SOLO_LARS,
        },
    ),
    "deepcluster_v2_cifar10": Recipe(
        SOLO + "deepclusterv2.yaml",
        *(256, 1000, "larc", 0.6, 6e-4, 1e-6, 11 * 195),
        {
            **SOLO_LARS,
            "target.clusters": (3000,) * 3,
            "target.iterations": 10,
            "loss.temperature": 0.1,
            "optimizer.warmup_fraction": 0.0,
        },
    ),
    "moco_v2_cifar10": Recipe(
        GITHUB + "lightly-ai/lightly/blob/master/docs/source/getting_started/benchmarks/"
        "cifar10_benchmark.py",
        *(512, 800, "sgd", 0.24, 0, 5e-4, 0),
        {"target.queue_size": 8192, "target.momentum": 0.99, "loss.temperature": 0.1},
    ),
    "w_mse_cifar10": Recipe(
        W_MSE,
        *(512, 1000, "adam", 3e-3, 1.2e-4, 1e-6, 500),
        {"heads.projector": (1024, 64), "loss.whitening_size": 128},
    ),
}


def made(name):
    c = runpy.run_path(str(CONFIGS / f"{name}.py"))["get_config"]()
    return c, build(c, make_mesh(jax.devices()[:1]), train_size=SIZES[c.data.name])


def value(c, field):
    for part in field.split("."):
        c = c[part]
    return c


@pytest.mark.parametrize("name", RECIPES)
def test_recipe_is_the_published_one(name):
    recipe, (c, run) = RECIPES[name], made(name)
    assert run.data.batch_size == recipe.batch
    assert run.total_steps == recipe.epochs * (SIZES[c.data.name] // recipe.batch)
    assert (c.optimizer.name, c.optimizer.weight_decay) == (recipe.optimizer, recipe.decay)
    rate = run.rates["learning_rate"]
    np.testing.assert_allclose(rate(recipe.warmup), recipe.peak, rtol=1e-12)
    np.testing.assert_allclose(rate(run.total_steps), recipe.last, rtol=1e-12, atol=1e-15)
    if recipe.warmup:
        start = 0 if c.optimizer.drops else recipe.peak * c.optimizer.warmup_fraction
        np.testing.assert_allclose(rate(0), start, rtol=1e-12)
    assert {field: value(c, field) for field in recipe.fields} == recipe.fields


def test_every_published_config_has_a_row():
    """The digits are ours; IMAX and SeLa v2 have no published hyper-parameters.

    The family since VICReg, the ViTs and those of two modalities name their sources, or say that
    there is none, in the docstrings of their configs.
    """
    stems = {path.stem for path in CONFIGS.glob("*.py")}
    ours = {
        stem for stem in stems if stem.endswith("_digits") or stem.startswith(("imax_", "sela_"))
    }
    family = (
        "lejepa",
        "visreg",
        "frossl",
        "mmcr",
        "tcr",
        "cor_info_max",
        "direct_clr",
        "tico",
        "mixed_barlow",
        "mec",
        "hsic_barlow",
        "vibcreg",
        "vse",
    )
    pairs = ("_coco", "_emoji", "_esc50", "_esc10")
    others = {stem for stem in stems if stem.startswith(family) or "_vit_" in stem}
    others |= {stem for stem in stems if stem.endswith(pairs)} | {"vicregl_cifar10", "obow_cifar10"}
    assert stems - ours - others == set(RECIPES)


def test_barlow_twins_biases_have_their_own_rate():
    """0.0048 * 2048 / 256 (--learning-rate-biases of its main.py), down to a thousandth."""
    rate = made("barlow_r50")[1].rates["bias_learning_rate"]
    np.testing.assert_allclose([rate(0), rate(6250), rate(625000)], [0, 0.0384, 3.84e-5])


def test_the_rates_of_w_mse_fall_twice():
    """To a fifth 50 and 25 epochs before the end (MultiStepLR of its train.py)."""
    _, run = made("w_mse_cifar10")
    steps = run.total_steps - 97 * np.array([51, 50, 25])
    np.testing.assert_allclose(run.rates["learning_rate"](steps), [3e-3, 6e-4, 1.2e-4])
