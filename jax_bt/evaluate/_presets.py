"""Defines what every named setting of a protocol says of itself."""

import dataclasses
from collections.abc import Mapping


@dataclasses.dataclass(frozen=True, kw_only=True)
class Preset:
    """A named setting of a protocol; a protocol's own record adds its numbers.

    Attributes:
      title: what people read.
      source: the paper, code or table that the numbers are from; "" for this project's own.
      published: results by who was evaluated, such as {"Barlow Twins": {"top1": 73.2}}; percent,
        a ResNet-50 trained for 1000 epochs on ImageNet unless ``source`` says otherwise.
    """

    title: str
    source: str = ""
    published: Mapping[str, Mapping[str, float]] = dataclasses.field(default_factory=dict)
