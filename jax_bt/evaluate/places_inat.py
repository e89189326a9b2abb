"""Trains linear classifiers on frozen maps, as VISSL does for Places205 and iNaturalist18."""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

from jax import Array, lax
from jax.sharding import Mesh

from jax_bt import models, optim
from jax_bt.errors import UsageError
from jax_bt.evaluate._frozen import Batches, Classifier, Encode, PyTree, State, fit, results
from jax_bt.evaluate._presets import Preset
from jax_bt.evaluate.linear_sgd import linear, linear_init
from jax_bt.stats import wide

TITLE = "linear classifier on maps"
NEEDS = "maps"
HEADS = {"res5": 2, "res5avg": 1}  # height and width of the pooled map


@dataclasses.dataclass(frozen=True, kw_only=True)
class Maps(Preset):
    """Numbers of the protocol.

    Attributes:
      learning_rate: of the first epochs.
      epochs: passes over the images.
      drops: epochs at which the rate falls to a tenth.
      batch_size: global.
      weight_decay: of the linear layer, not of the batch norm.
      nesterov: of SGD, whose momentum is 0.9.
    """

    learning_rate: float
    epochs: int
    drops: tuple[int, ...]
    weight_decay: float
    batch_size: int = 256
    nesterov: bool = False

    def __post_init__(self) -> None:
        if self.epochs < 1 or not self.learning_rate > 0:
            raise UsageError(
                f"epochs={self.epochs} and learning_rate={self.learning_rate} must be positive"
            )

    def rate(self, epoch: int) -> float:
        """The learning rate of an epoch, counted from 0."""
        return self.learning_rate * 0.1 ** sum(epoch >= drop for drop in self.drops)


def _top1(**percent: float) -> dict[str, dict[str, float]]:
    return {who.replace("_", " "): {"top1": value} for who, value in percent.items()}


_PLACES = functools.partial(
    Maps,
    title="Places205",
    published=_top1(
        supervised=53.2,
        MoCo=46.9,
        PIRL=49.8,
        SimCLR=52.5,
        MoCo_v2=51.8,
        SwAV_2_crops=52.8,
        SwAV=56.7,
        BYOL=54.0,
        OBoW=56.8,
        Barlow_Twins=54.1,
        VICReg=54.3,
    ),
)
_INAT = functools.partial(
    Maps,
    title="iNaturalist18",
    epochs=84,
    drops=(24, 48, 72),
    published=_top1(
        supervised=46.7,
        MoCo=31.5,
        PIRL=34.1,
        SimCLR=37.2,
        MoCo_v2=38.6,
        SwAV_2_crops=39.5,
        SwAV=48.6,
        BYOL=47.6,
        Barlow_Twins=46.5,
        VICReg=47.0,
    ),
)
PRESETS = {
    "places_barlow_twins": _PLACES(
        learning_rate=0.01,
        epochs=14,
        drops=(5, 9),
        weight_decay=5e-4,
        source="Barlow Twins, appendix C.1, two equally spaced drops; table 3",
    ),
    "places_vicreg": _PLACES(
        learning_rate=0.003,
        epochs=28,
        drops=(4, 8, 12),
        weight_decay=1e-4,
        source="VICReg, appendix; table 2",
    ),
    "places_vissl": _PLACES(
        learning_rate=0.01,
        epochs=14,
        drops=(4, 8, 12),
        weight_decay=5e-4,
        nesterov=True,
        source="facebookresearch/vissl places205 benchmark yaml; results of the papers",
    ),
    "places_swav": _PLACES(
        learning_rate=0.01,
        epochs=28,
        drops=(7, 14, 21),
        weight_decay=1e-4,
        source="SwAV, appendix: three drops, taken as equally spaced; results of all papers",
    ),
    "places_obow": _PLACES(
        learning_rate=0.01,
        epochs=28,
        drops=(10, 20),
        weight_decay=1e-5,
        source="OBoW, appendix; results of all papers",
    ),
    "inat_barlow_twins": _INAT(
        learning_rate=0.01,
        weight_decay=5e-4,
        source="Barlow Twins, appendix C.1, with VISSL's drops; table 3",
    ),
    "inat_vicreg": _INAT(
        learning_rate=0.005,
        weight_decay=1e-4,
        source="VICReg, appendix; table 2",
    ),
    "inat_vissl": _INAT(
        learning_rate=0.01,
        weight_decay=5e-4,
        nesterov=True,
        source="facebookresearch/vissl inaturalist18 benchmark yaml; results of the papers",
    ),
}
PRESETS = {"": PRESETS["places_vicreg"], **PRESETS}


def run(
    encode: Encode,
    variables: PyTree,
    train: Callable[[int], Batches],
    test: Batches,
    preset: Maps,
    *,
    classes: int,
    mesh: Mesh | None = None,
    seed: int = 0,
    resume: Callable[[State], State] | None = None,
    on_epoch: Callable[[State], None] | None = None,
) -> dict[str, Any]:
    """Trains both of VISSL's heads on the maps of a frozen encoder, in one pass.

    A head is average pooling, batch norm over the pooled map (with scale and shift, eps 1e-5,
    momentum 0.1), a flattening and a linear layer. "res5" pools (h - 1) x (w - 1) at stride 1 to 2
    x 2 (8192 numbers of ResNet-50's 7 x 7 x 2048), "res5avg" the whole map to one place (2048).
    Which of the two the papers print is not known. Without the batch norm a user of VICReg's
    features got 10 % on Places205 and 41 % on iNaturalist18.

    Args:
      encode: (variables, images (B, H, W, C)) -> maps of the last stage (B, h, w, F), in evaluation
        mode, h and w at least 2.
      variables: of the encoder; asserted to stay as they are.
      train: epoch -> this process's batches {"image", "label": (b,) integers < classes}, with new
        views in every epoch.
      test: this process's batches to test on.
      preset: the numbers.
      classes: number of classes K.
      mesh: the devices to use; None for those of this process.
      seed: of the linear layers, N(0, 0.01^2).
      resume: from the state of epoch 0 to the one to go on from, as ``on_epoch`` had it.
      on_epoch: called after every epoch.

    Returns:
      As ``linear_sgd.run``; "settings" are "res5" and "res5avg".

    Raises:
      DataError: a label that is no class.
      UsageError: a batch of several processes that does not divide over their devices.
      ValueError: an encoder in training mode, or without maps; no batches.

    Reference:
      facebookresearch/vissl models/heads/linear_eval_mlp.py and its benchmark configurations.
    """
    classifiers = {
        name: Classifier(
            init=functools.partial(_init, name, classes),
            apply=functools.partial(_apply, name),
            optimizer=functools.partial(_optimizer, preset),
            rate=preset.rate,
        )
        for name in HEADS
    }
    state = fit(
        functools.partial(_pooled, encode),
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


def _pooled(encode: Encode, variables: PyTree, images: Array) -> dict[str, Array]:
    """The map of every head: small enough to keep those of a whole test set."""
    maps = wide(encode(variables, images))
    if maps.ndim != 4 or min(maps.shape[1:3]) < 2:
        raise ValueError(f"the encoder must give maps (B, h >= 2, w >= 2, F), got {maps.shape}")
    pooled = {}
    for name, size in HEADS.items():
        window = (1, maps.shape[1] - size + 1, maps.shape[2] - size + 1, 1)
        total = lax.reduce_window(maps, 0.0, lax.add, window, (1, 1, 1, 1), "VALID")
        pooled[name] = total / (window[1] * window[2])
    return pooled


def _init(name: str, classes: int, key: Array, features: dict[str, Array]) -> PyTree:
    x = features[name]
    norm = models.BatchNorm().init(key, x, train=False)
    head = linear_init(classes, key, x.reshape(len(x), -1))
    return {
        "params": {"norm": norm["params"], "linear": head["params"]},
        "batch_stats": norm["batch_stats"],
    }


def _apply(
    name: str, variables: PyTree, features: dict[str, Array], train: bool
) -> tuple[Array, PyTree]:
    norm = {"params": variables["params"]["norm"], "batch_stats": variables["batch_stats"]}
    x, new = models.BatchNorm().apply(norm, features[name], train=train, mutable=["batch_stats"])
    logits, _ = linear({"params": variables["params"]["linear"]}, x.reshape(len(x), -1), train)
    return logits, dict(new)


def _optimizer(preset: Maps, rate: Any) -> optim.GradientTransformation:
    rules = (("^norm/", {"decay": False}),)
    return optim.sgd(rate, preset.weight_decay, nesterov=preset.nesterov, rules=rules)
