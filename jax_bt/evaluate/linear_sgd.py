"""Trains a linear classifier by SGD on augmented images: the papers' linear evaluation."""

import dataclasses
import functools
import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array
from jax.sharding import Mesh

from jax_bt import optim
from jax_bt.errors import UsageError
from jax_bt.evaluate._frozen import Batches, Classifier, Encode, PyTree, State, fit, results
from jax_bt.evaluate._presets import Preset

TITLE = "linear classifier, SGD"
NEEDS = "images"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Sgd(Preset):
    """Numbers of the protocol.

    Attributes:
      learning_rates: each trains a classifier of its own, all in one pass over the images.
      epochs: passes over the images.
      batch_size: global.
      per_256: the rates are for 256 examples and grow with the batch.
      weight_decay: of weight and bias.
      momentum: of SGD.
      nesterov: of SGD.
      larc: the layer-wise rates of LARC around SGD.
      crop: least and most area of the training crop; a flip follows it.
      interpolation: of all resizing.
      size: of the images; test images are centre crops, their short side 8/7 of that before.
    """

    learning_rates: tuple[float, ...] = (0.3,)
    epochs: int = 100
    batch_size: int = 256
    per_256: bool = False
    weight_decay: float = 1e-6
    momentum: float = 0.9
    nesterov: bool = False
    larc: bool = False
    crop: tuple[float, float] = (0.08, 1.0)
    interpolation: str = "bilinear"
    size: int = 224

    def __post_init__(self) -> None:
        if not self.learning_rates or not all(r > 0 for r in self.learning_rates):
            raise UsageError(f"learning_rates={self.learning_rates}: give at least one, above 0")
        if self.epochs < 1:
            raise UsageError(f"epochs={self.epochs} must be at least 1")

    @property
    def peaks(self) -> dict[str, float]:
        """Learning rate of the first epoch, by the name of the classifier."""
        factor = self.batch_size / 256 if self.per_256 else 1.0
        return {f"{rate:g}": rate * factor for rate in self.learning_rates}


BARLOW_TWINS = Sgd(
    title="linear evaluation of Barlow Twins",
    source="facebookresearch/barlowtwins evaluate.py; paper, table 1; best epoch",
    published={
        "Barlow Twins": {"top1": 73.2, "top5": 91.0},
        "Barlow Twins, released file": {"top1": 73.5, "top5": 91.0},
    },
)
PRESETS = {
    "": BARLOW_TWINS,
    "barlow_twins": BARLOW_TWINS,
    "vicreg": Sgd(
        title="linear evaluation of VICReg",
        learning_rates=(0.02,),
        source="facebookresearch/vicreg evaluate.py and README; paper, table 1; best epoch. The "
        "paper crops from 0.2 of the area, its code from 0.08",
        published={"VICReg": {"top1": 73.2, "top5": 91.1}},
    ),
    "vicregl": Sgd(
        title="linear evaluation of VICRegL",
        learning_rates=(0.02,),
        source="facebookresearch/VICRegL README, ResNet-50, 300 epochs",
        published={"VICRegL, alpha 0.9": {"top1": 71.2}, "VICRegL, alpha 0.75": {"top1": 70.4}},
    ),
    "vicregl_convnext": Sgd(
        title="linear evaluation of VICRegL, ConvNeXt",
        learning_rates=(0.3,),
        source="facebookresearch/VICRegL README, ConvNeXt-S, 400 epochs",
        published={"VICRegL, alpha 0.9": {"top1": 75.9}, "VICRegL, alpha 0.75": {"top1": 74.6}},
    ),
    "byol": Sgd(
        title="linear evaluation of BYOL",
        learning_rates=(0.4, 0.3, 0.2, 0.1, 0.05),
        epochs=80,
        batch_size=1024,
        weight_decay=0.0,
        nesterov=True,
        interpolation="bicubic",
        source="BYOL, appendix; table 1; the rate is chosen on 10,009 images held out of training",
        published={"BYOL": {"top1": 74.3, "top5": 91.6}},
    ),
    "swav": Sgd(
        title="linear evaluation of SwAV",
        source="facebookresearch/swav eval_linear.py; SwAV with multi-crop, 800 epochs",
        published={"SwAV": {"top1": 75.3}},
    ),
    "moco_v3": Sgd(
        title="linear evaluation of MoCo v3",
        learning_rates=(0.1,),
        per_256=True,
        epochs=90,
        batch_size=1024,
        weight_decay=0.0,
        source="facebookresearch/moco-v3 main_lincls.py and README",
        published={"MoCo v3": {"top1": 74.6}, "MoCo v3, 100 epochs": {"top1": 68.9}},
    ),
    "simsiam": Sgd(
        title="linear evaluation of SimSiam",
        learning_rates=(0.1,),
        per_256=True,
        epochs=90,
        batch_size=4096,
        weight_decay=0.0,
        larc=True,
        source="facebookresearch/simsiam main_lincls.py and README, 100 epochs",
        published={"SimSiam, batch 256": {"top1": 68.3}, "SimSiam, batch 512": {"top1": 68.1}},
    ),
    "directclr": Sgd(
        title="linear evaluation of DirectCLR",
        learning_rates=(0.1,),
        source="facebookresearch/directclr, 100 epochs",
        published={"DirectCLR": {"top1": 62.7}},
    ),
    "lightly": Sgd(
        title="linear evaluation of lightly",
        learning_rates=(0.1,),
        per_256=True,
        epochs=90,
        weight_decay=0.0,
        source="lightly's ImageNet benchmark, 100 epochs, batch 256",
        published={
            "Barlow Twins": {"top1": 62.9},
            "VICReg": {"top1": 63.0},
            "BYOL": {"top1": 62.5},
            "SimCLR": {"top1": 63.2},
            "SwAV": {"top1": 67.2},
        },
    ),
}


def run(
    encode: Encode,
    variables: PyTree,
    train: Callable[[int], Batches],
    test: Batches,
    preset: Sgd,
    *,
    classes: int,
    mesh: Mesh | None = None,
    seed: int = 0,
    resume: Callable[[State], State] | None = None,
    on_epoch: Callable[[State], None] | None = None,
) -> dict[str, Any]:
    """Trains a linear classifier per learning rate on the features of a frozen encoder.

    min_{W, b}  cross_entropy(W f(x) + b, y) + weight_decay (|W|^2 + |b|^2) / 2, by SGD with
    rate(e) = rate (1 + cos(pi e / epochs)) / 2 in all steps of epoch e = 0, 1, ...

    W starts from N(0, 0.01^2) and b from 0, the same for every rate: a sweep costs one pass of the
    encoder and gives what single runs give.

    Args:
      encode: (variables, images (B, H, W, C)) -> features (B, F), in evaluation mode.
      variables: of the encoder; asserted to stay as they are.
      train: epoch -> this process's batches {"image", "label": (b,) integers < classes}, with new
        views in every epoch.
      test: this process's batches to test on.
      preset: the numbers; of those about views it is for the caller to give such images.
      classes: number of classes K.
      mesh: the devices to use; None for those of this process.
      seed: of W.
      resume: from the state of epoch 0 to the one to go on from, as ``on_epoch`` had it.
      on_epoch: called after every epoch.

    Returns:
      As ``results``: {"top1", "top5"} of the best epoch, each on its own, as the reference prints
      them, {"last_top1", "last_top5"}, "setting": the learning rate with the best top-1, "settings"
      and "history" of all.

    Raises:
      DataError: a label that is no class.
      UsageError: a batch of several processes that does not divide over their devices.
      ValueError: an encoder in training mode; no batches.

    Reference:
      facebookresearch/barlowtwins evaluate.py; Zbontar et al. 2021, arXiv:2103.03230, 4.1.
    """
    classifiers = {
        name: Classifier(
            init=functools.partial(linear_init, classes),
            apply=linear,
            optimizer=functools.partial(_optimizer, preset),
            rate=functools.partial(cosine, peak, preset.epochs),
        )
        for name, peak in preset.peaks.items()
    }
    state = fit(
        encode,
        variables,
        classifiers,
        train,
        test,
        classes=classes,
        epochs=preset.epochs,
        mesh=mesh,
        seed=seed,
        resume=resume,
        on_epoch=on_epoch,
    )
    return results(state.history)


def cosine(peak: float, epochs: int, epoch: int) -> float:
    """peak (1 + cos(pi epoch / epochs)) / 2: the last epoch's rate is not 0."""
    return peak * (1 + math.cos(math.pi * epoch / epochs)) / 2


def linear_init(classes: int, key: Array, features: Array) -> PyTree:
    """Weights N(0, 0.01^2) and a bias of 0, for features (B, F)."""
    if features.ndim != 2:
        raise ValueError(f"the encoder must give (B, features), got {features.shape}")
    kernel = 0.01 * jax.random.normal(key, (features.shape[1], classes))
    return {"params": {"kernel": kernel, "bias": jnp.zeros(classes)}}


def linear(variables: PyTree, features: Array, train: bool) -> tuple[Array, PyTree]:
    """Logits (B, K) of features (B, F), float32 at full precision."""
    params = variables["params"]
    return jnp.matmul(features, params["kernel"], precision="highest") + params["bias"], {}


def _optimizer(preset: Sgd, rate: Any) -> optim.GradientTransformation:
    options = {"momentum": preset.momentum, "nesterov": preset.nesterov}
    make = optim.larc if preset.larc else optim.sgd
    return make(rate, preset.weight_decay, **options)
