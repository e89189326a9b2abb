"""The table of the papers' augmentation recipes, and recipes built in a config.

Sources, read in the reference code: facebookresearch barlowtwins 8e8d284, vicreg 4e12602 (paper
C.1 for `vicreg_paper`), swav 06b1b7c, simsiam a7bc177, moco and moco-v3; google-research simclr;
htdt/self-supervised d9662c8 for W-MSE; vturrisi/solo-learn 9187ea3 for the CIFAR variants,
lightly for `cifar_lightly`. SwAV's std 0.228 is a typo for 0.229 and not kept.
"""

import dataclasses
import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from jax_bt.augment.parts import (
    PARTS,
    Affine,
    Blur,
    CenterCrop,
    Crop,
    Flip,
    Grayscale,
    Jitter,
    Noise,
    Recipe,
    Solarize,
)
from jax_bt.errors import UsageError

_log = logging.getLogger(__name__)

# Barlow Twins and BYOL: half of SimCLR, and half of that again for saturation.
_JITTER = Jitter(brightness=0.4, contrast=0.4, saturation=0.2, hue=0.1, p=0.8)
_JITTER_MOCO = Jitter(brightness=0.4, contrast=0.4, saturation=0.4, hue=0.1, p=0.8)
_JITTER_SIMCLR = Jitter(brightness=0.8, contrast=0.8, saturation=0.8, hue=0.2, p=0.8)
_GRAY = Grayscale(0.2)
_FLIP = Flip(0.5)
_CROP_MOCO = Crop(scale=(0.2, 1.0), method="bilinear")

_BARLOW_A = (Crop(), _FLIP, _JITTER, _GRAY, Blur(1.0))
_BARLOW_B = (Crop(), _FLIP, _JITTER, _GRAY, Blur(0.1), Solarize(0.2))
_VICREG = (Crop(), _FLIP, _JITTER, _GRAY, Blur(0.5), Solarize(0.1))
_SIMCLR = (Crop(), _FLIP, _JITTER_SIMCLR, _GRAY, Blur(0.5))
_SIMCLR_V1 = (
    Crop(),
    _FLIP,
    dataclasses.replace(_JITTER_SIMCLR, additive=True),
    _GRAY,
    Blur(0.5),
)
_MOCO_V2 = (_CROP_MOCO, _JITTER_MOCO, _GRAY, Blur(0.5), _FLIP)
_MOCO_V3_A = (_CROP_MOCO, _JITTER, _GRAY, Blur(1.0), _FLIP)
_MOCO_V3_B = (_CROP_MOCO, _JITTER, _GRAY, Blur(0.1), Solarize(0.2), _FLIP)
_SWAV = (_JITTER_SIMCLR, _GRAY, Blur(0.5))
_SWAV_LARGE = (Crop(scale=(0.14, 1.0), method="bilinear"), _FLIP, *_SWAV)
_SWAV_SMALL = (Crop(scale=(0.05, 0.14), method="bilinear"), _FLIP, *_SWAV)
_SWAV_SMALL_SIDE = 96 / 224
# lightly's CIFAR benchmark, which keeps ImageNet's mean and std.
_LIGHTLY = (Crop(method="bilinear"), _FLIP, _JITTER_MOCO, _GRAY)
_W_MSE = (_JITTER_MOCO, Grayscale(0.1), Crop(scale=(0.2, 1.0)), _FLIP)
_DIGITS = (
    CenterCrop(),
    Affine(rotate=15.0, zoom=(0.85, 1.15), shift=0.1),
    Jitter(brightness=0.3, contrast=0.3, saturation=0.0, hue=0.0, p=1.0),
    Noise((0.0, 0.1)),
)

_UNIT = {"mean": (0.0, 0.0, 0.0), "std": (1.0, 1.0, 1.0)}
# 32-pixel images are evaluated whole.
_CIFAR = {
    "mean": (0.4914, 0.4822, 0.4465),
    "std": (0.2470, 0.2435, 0.2616),
    "eval_fraction": 1.0,
}
_GREY = {"mean": (0.5,) * 3, "std": (0.5,) * 3, "eval_fraction": 1.0}
_WHOLE = {"eval_fraction": 1.0}


def _without(parts: tuple, *kinds: type) -> tuple:
    return tuple(part for part in parts if not isinstance(part, kinds))


def _only(parts: tuple, *kinds: type) -> tuple:
    return tuple(part for part in parts if isinstance(part, kinds))


def _pair(a: tuple, b: tuple | None = None, /, **fields) -> Callable[[int], tuple[Recipe, ...]]:
    return lambda size: tuple(Recipe(size, parts, **fields) for parts in (a, a if b is None else b))


def _one(parts: tuple, **fields) -> Callable[[int], tuple[Recipe, ...]]:
    return lambda size: (Recipe(size, parts, **fields),)


def _barlow(change: Callable[[tuple], tuple]) -> Callable[[int], tuple[Recipe, ...]]:
    return _pair(change(_BARLOW_A), change(_BARLOW_B))


def _swav(size: int) -> tuple[Recipe, ...]:
    small = Recipe(round(size * _SWAV_SMALL_SIDE), _SWAV_SMALL)
    return (Recipe(size, _SWAV_LARGE),) * 2 + (small,) * 6


def _cifar(a: tuple, b: tuple | None = None, **crop) -> Callable[[int], tuple[Recipe, ...]]:
    """32-pixel images are not blurred: sigma 2 would leave little of them."""

    def change(parts):
        return tuple(
            dataclasses.replace(part, **crop) if isinstance(part, Crop) else part
            for part in _without(parts, Blur)
        )

    return _pair(change(a), None if b is None else change(b), **_CIFAR)


_TABLE: dict[str, Callable[[int], tuple[Recipe, ...]]] = {
    "barlow": _pair(_BARLOW_A, _BARLOW_B),
    "byol": _pair(_BARLOW_A, _BARLOW_B),
    "vicreg": _pair(_BARLOW_A, _BARLOW_B),  # what its code does
    "vicreg_paper": _pair(_VICREG),  # what its paper says
    "simclr": _pair(_SIMCLR, **_UNIT),
    "simclr_v1": _pair(_SIMCLR_V1, **_UNIT),
    "moco_v2": _pair(_MOCO_V2),
    "simsiam": _pair(_MOCO_V2),
    "moco_v3": _pair(_MOCO_V3_A, _MOCO_V3_B),
    "swav": _swav,
    "w_mse": _pair(_W_MSE),
    # Barlow Twins Figure 3, the removals of BYOL's: "color" is jitter and grayscale together, and
    # "crop" is the crop alone, without the flip.
    "barlow_no_grayscale": _barlow(lambda parts: _without(parts, Grayscale)),
    "barlow_no_color": _barlow(lambda parts: _without(parts, Grayscale, Jitter)),
    "barlow_crop_blur": _barlow(lambda parts: _only(parts, Crop, Blur)),
    "barlow_crop": _barlow(lambda parts: _only(parts, Crop)),
    "cifar_barlow": _cifar(_BARLOW_A, _BARLOW_B),
    "cifar_byol": _cifar(_BARLOW_A, _BARLOW_B),
    "cifar_moco_v3": _cifar(_BARLOW_A, _BARLOW_B),
    "cifar_vicreg": _cifar(_VICREG, scale=(0.2, 1.0)),
    "cifar_simclr": _cifar(_SIMCLR),
    "cifar_simsiam": _cifar(_MOCO_V2, scale=(0.08, 1.0), method="bicubic"),
    "cifar_lightly": _pair(_LIGHTLY, **_WHOLE),
    "cifar_w_mse": _cifar(_W_MSE),
    "digits": _pair(_DIGITS, **_GREY),
    "eval": _one((CenterCrop(0.875, "bilinear"),)),  # torchvision's 256 to 224
    "cifar_eval": _one((CenterCrop(1.0, "bilinear"),), **_CIFAR),
    "digits_eval": _one((CenterCrop(1.0, "bilinear"),), **_GREY),
    "none": _pair((CenterCrop(1.0),), **_WHOLE),
}


def names() -> tuple[str, ...]:
    """The names `recipes` knows."""
    return tuple(_TABLE)


def recipes(name: str, size: int = 224) -> tuple[Recipe, ...]:
    """The recipe of a paper, one record per view.

    Args:
      name: one of `names()`; "barlow" is the asymmetric pair, "swav" has eight views.
      size: side of the (large) views in pixels; SwAV's six small views are 96/224 of it.

    Returns:
      A tuple with one `Recipe` per view; "eval" has one.

    Raises:
      UsageError: unknown name.
    """
    if name not in _TABLE:
        raise UsageError(f"recipe {name!r} is not known; there are: {', '.join(_TABLE)}")
    return _TABLE[name](size)


def for_channels(recipes: Sequence[Any], channels: int) -> tuple[Any, ...]:
    """The recipes for images of this many channels (`Source.channels`); logs what is left out.

    Args:
      recipes: one per view; those of texts stay as they are.
      channels: of the images.

    Returns:
      One recipe per view: `Recipe.for_channels` of each.
    """
    fitted = tuple(recipe.for_channels(channels) for recipe in recipes)
    before, after = (
        {type(part).__name__ for r in of for part in getattr(r, "parts", ())}
        for of in (recipes, fitted)
    )
    if before - after:
        _log.warning(
            "images of %d channels: %s of the recipe is for colours and left out",
            channels,
            " and ".join(sorted(before - after)),
        )
    return fitted


def recipe_from(description: Mapping[str, Any]) -> Recipe:
    """A recipe built from the same parts, as a config writes it.

    `{"base": "barlow", "view": 1, "size": 96, "jitter": {"hue": 0.0}, "solarize": None}` is view 1
    of `barlow` at 96 pixels, with less hue and no solarize. Without `base` the parts given are the
    whole recipe. They are applied in the base's order, then in the order of `parts.PARTS`;
    `"order": ("jitter", "crop", ...)` sets another.

    Args:
      description: `size`, and any of `base`, `view` (default 0), `order`, `mean`, `std`,
        `eval_fraction`, `eval_method`, `eval_squash`, and parts by name, each a mapping of its
        fields or None to leave it out.

    Returns:
      The `Recipe`.

    Raises:
      UsageError: an unknown part or field (the message lists the valid ones), or a bad number.
    """
    given = dict(description)
    base, view, order = given.pop("base", None), given.pop("view", 0), given.pop("order", None)
    chosen: dict[str, Any] = {}
    fields: dict[str, Any] = {}
    if base is not None:
        views = recipes(base, given.get("size", 224))
        if not 0 <= view < len(views):
            raise UsageError(f"recipe {base!r} has views 0 to {len(views) - 1}, not {view}")
        kinds = {kind: name for name, kind in PARTS.items()}
        chosen = {kinds[type(part)]: part for part in views[view].parts}
        fields = {f.name: getattr(views[view], f.name) for f in dataclasses.fields(Recipe)}
    settings = ("size", "mean", "std", "eval_fraction", "eval_method", "eval_squash")
    for name, value in given.items():
        if name in settings:
            fields[name] = tuple(value) if name in ("mean", "std") else value
        elif name not in PARTS:
            valid = ", ".join(("base", "view", "order", *settings, *PARTS))
            raise UsageError(f"recipe: there is no part {name!r}; there are: {valid}")
        elif value is None:
            chosen.pop(name, None)
        else:
            chosen[name] = _part(name, value, chosen.get(name))
    if "size" not in fields:
        raise UsageError("recipe: give its size in pixels, for example size=224")
    first = list(order) if order is not None else []
    for name in first:
        if first.count(name) > 1:
            raise UsageError(f"recipe: order names {name!r} twice")
        if name not in chosen:
            raise UsageError(
                f"recipe: order names {name!r}, but its parts are: {', '.join(chosen)}"
            )
    if base is None:
        chosen = {name: chosen[name] for name in PARTS if name in chosen}
    sequence = first + [name for name in chosen if name not in first]
    fields["parts"] = tuple(chosen[name] for name in sequence)
    return Recipe(**fields)


def _part(name: str, value: Any, old: Any) -> Any:
    if not hasattr(value, "items"):  # a ConfigDict is no Mapping
        raise UsageError(
            f"recipe: {name} must be a mapping of its fields to numbers, or None, got {value!r}"
        )
    kind = PARTS[name]
    valid = [field.name for field in dataclasses.fields(kind)]
    changes = {}
    for key, number in dict(value).items():
        if key not in valid:
            raise UsageError(f"recipe: {name} has no {key!r}; it has: {', '.join(valid)}")
        changes[key] = tuple(number) if isinstance(number, list | tuple) else number
    return dataclasses.replace(old, **changes) if old is not None else kind(**changes)
