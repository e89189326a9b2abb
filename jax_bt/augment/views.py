"""Reads a view of any modality from a config's description."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from jax_bt.augment.frames import Frames
from jax_bt.augment.parts import Recipe
from jax_bt.augment.recipes import recipe_from
from jax_bt.augment.tokens import Tokens
from jax_bt.augment.waveform import Waveform
from jax_bt.errors import UsageError

View = Recipe | Tokens | Waveform | Frames
SEQUENCES: dict[str, type] = {kind.modality: kind for kind in (Tokens, Waveform, Frames)}
MODALITIES = ("image", *SEQUENCES)


def view_from(description: Mapping[str, Any], size: int) -> View:
    """The view that a config describes: of an image, or of its ``modality``.

    `{"base": "barlow", "view": 1}` is a view of an image (``recipe_from``),
    `{"modality": "tokens", "length": 24}` one of its captions (``Tokens``), `{"modality":
    "waveform", "length": 65536}` one of its sound (``Waveform``). A spectrogram is an image, and
    `{"modality": "frames", "length": 128}` a view of it as a sequence (``Frames``).

    Args:
      description: of one view.
      size: side of an image's view in pixels, where the description has none.

    Raises:
      UsageError: an unknown modality, a field that it does not have, a number outside its range.
    """
    given = dict(description)
    modality = given.pop("modality", "image")
    if modality not in MODALITIES:
        raise UsageError(f"modality {modality!r} is not known; there are: {', '.join(MODALITIES)}")
    if modality == "image":
        return recipe_from({"size": size, **given})
    kind = SEQUENCES[modality]
    valid = [field.name for field in dataclasses.fields(kind)]
    for name in given:
        if name not in valid:
            raise UsageError(
                f"{modality}: there is no field {name!r}; there are: {', '.join(valid)}"
            )
    return kind(**given)
