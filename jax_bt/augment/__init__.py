"""Views of images and texts: recipes, and the operations of the host and of the device.

`recipes("barlow", size=224)` gives one `Recipe` per view; `recipe_from({...})` builds one from the
same parts. The host applies them in `jax_bt.augment.host.view`, the device in `augment.device`.
"""

from jax_bt.augment import device
from jax_bt.augment.frames import Frames
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
from jax_bt.augment.places import cells
from jax_bt.augment.recipes import for_channels, names, recipe_from, recipes
from jax_bt.augment.tokens import Tokens
from jax_bt.augment.views import MODALITIES, View, view_from
from jax_bt.augment.waveform import Waveform

__all__ = [
    "MODALITIES",
    "PARTS",
    "Affine",
    "Blur",
    "CenterCrop",
    "Crop",
    "Flip",
    "Frames",
    "Grayscale",
    "Jitter",
    "Noise",
    "Recipe",
    "Solarize",
    "Tokens",
    "View",
    "Waveform",
    "cells",
    "device",
    "for_channels",
    "names",
    "recipe_from",
    "recipes",
    "view_from",
]
