"""Defines the card of an encoder: what made it, and what it must be fed."""

import dataclasses
import json
from typing import Any

from jax_bt.augment import CenterCrop, Recipe
from jax_bt.errors import WeightsError


@dataclasses.dataclass(frozen=True)
class Card:
    """What belongs to the weights of an encoder.

    Attributes:
      encoder: keywords of ``models.make``, "name" among them; empty where the weights tell.
      image_size: side of the images that the encoder is fed, pixels.
      mean, std: subtracted and divided after scaling to [0, 1]; one number per channel.
      eval_fraction: of the centre crop: the short side becomes image_size / eval_fraction.
      eval_method: interpolation, "bilinear" or "bicubic".
      eval_squash: squeeze the whole image to the square instead.
      recipe: augmentation of the training.
      method, dataset: of the training.
      step: number of updates.
      config_hash: of the run's config, 16 hexadecimal digits.
    """

    encoder: dict[str, Any] = dataclasses.field(default_factory=dict)
    image_size: int = 224
    mean: tuple[float, ...] = (0.485, 0.456, 0.406)
    std: tuple[float, ...] = (0.229, 0.224, 0.225)
    eval_fraction: float = 0.875
    eval_method: str = "bilinear"
    eval_squash: bool = False
    recipe: str = ""
    method: str = ""
    dataset: str = ""
    step: int = 0
    config_hash: str = ""

    @property
    def evaluation(self) -> Recipe:
        """How an image is cropped and normalised before the encoder sees it."""
        parts = (CenterCrop(self.eval_fraction, self.eval_method, self.eval_squash),)
        return Recipe(self.image_size, parts, mean=self.mean, std=self.std)

    def to_json(self) -> str:
        """The card as JSON text."""
        return json.dumps(dataclasses.asdict(self), indent=2) + "\n"

    @classmethod
    def from_json(cls, text: str, where: str) -> "Card":
        """Reads a card.

        Args:
          text: what ``to_json`` gave; unknown fields are passed over.
          where: the file, for messages.

        Raises:
          WeightsError: no card.
        """
        try:
            given = json.loads(text)
            known = {f.name: given[f.name] for f in dataclasses.fields(cls) if f.name in given}
            for name in ("mean", "std"):
                known[name] = tuple(float(number) for number in known[name])
            card = cls(**known)
            _ = card.evaluation  # checks the numbers
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise WeightsError(f"{where} is no card of an encoder: {error}") from error
        return card
