"""Lists TPU chips by their published figures, and reads the names of slices."""

import itertools
import math
import re
from typing import NamedTuple

from jax_bt.errors import UsageError

GIB = 2**30


class Chip(NamedTuple):
    """What Google publishes of one chip, all its cores together.

    Attributes:
      hbm_bytes: memory.
      hbm_rate: bytes/s to and from the memory.
      flops: bfloat16 operations/s at the peak. A float32 product at JAX's default precision is
        done in bfloat16 on a TPU, so it has this peak too.
      link_rate: bytes/s that the chip can send to its neighbours over all inter-chip links.
      devices: JAX devices a chip; where there are two, each has half of everything.
      shapes: the slices offered; None for the three-dimensional ones, see ``_cubic``.
    """

    hbm_bytes: int
    hbm_rate: float
    flops: float
    link_rate: float
    devices: int = 1
    shapes: tuple[str, ...] | None = None


SQUARE = ("1x1", "2x2", "2x4", "4x4", "4x8", "8x8", "8x16", "16x16")
# https://docs.cloud.google.com/tpu/docs/<v3, v4, v5e, v5p, v6e>: peak compute, HBM capacity and
# bandwidth. The same pages' "all-reduce bandwidth per Pod" over the chips of a Pod is the rate a
# chip sends at: 340 TB/s over 1024 for v3, 1.1 PB/s over 4096 for v4, 51.2 TB/s over 256 for v5e
# and 102.4 over 256 for v6e; the last two are half their "bidirectional ICI bandwidth per chip"
# (400 and 800 GB/s), and so is v5p's here (1200). TPU v2 has no such published figure.
# Capacities are binary: docs.jax.dev/en/latest/pallas/tpu/hardware.html has 17.2 GB for "16 GB".
CHIPS = {
    "v3": Chip(32 * GIB, 900e9, 123e12, 340e12 / 1024, devices=2,
               shapes=("2x2", "4x4", "4x8", "8x8", "8x16", "16x16", "16x32", "32x32")),
    "v4": Chip(32 * GIB, 1200e9, 275e12, 1.1e15 / 4096),
    "v5e": Chip(16 * GIB, 819e9, 197e12, 200e9, shapes=SQUARE),
    "v5p": Chip(95 * GIB, 2765e9, 459e12, 600e9),
    "v6e": Chip(32 * GIB, 1640e9, 918e12, 400e9, shapes=SQUARE),
}  # fmt: skip
SMALL_CUBIC = ("2x2x1", "2x2x2", "2x2x4", "2x4x4")
LARGEST_CUBIC = {"v4": 4096, "v5p": 6144}


class Slice(NamedTuple):
    """A TPU slice: a kind of chip in a mesh or torus.

    Attributes:
      name: such as ``v5e:4x8``.
      chip: its key in ``CHIPS``.
      chips: how many.
    """

    name: str
    chip: str
    chips: int

    @property
    def devices(self) -> int:
        """How many JAX devices the slice has."""
        return self.chips * CHIPS[self.chip].devices


def parse(topology: str) -> Slice:
    """Reads a slice's name.

    Args:
      topology: ``<chip>:<shape>``, such as ``v5e:4x8`` or ``v4:2x2x4``; chips, not cores.

    Raises:
      UsageError: with the valid forms.
    """
    match = re.fullmatch(r"(v\w+):(\d+(?:x\d+)+)", topology)
    if match and match[1] in CHIPS:
        chip, shape = match.groups()
        sides = [int(side) for side in shape.split("x")]
        offered = CHIPS[chip].shapes
        if shape in offered if offered else _cubic(chip, shape, sides):
            return Slice(topology, chip, math.prod(sides))
    raise UsageError(f"--topology={topology}: no such TPU slice; valid are {valid()}")


def valid() -> str:
    """The valid forms, for messages."""
    listed = {}
    for name, chip in CHIPS.items():
        shapes = chip.shapes or (*SMALL_CUBIC, "AxBxC of multiples of 4, A<=B<=C")
        listed.setdefault(", ".join(shapes), []).append(name)
    return "; ".join(f"{' or '.join(names)}:SHAPE of {s}" for s, names in listed.items())


def _cubic(chip: str, shape: str, sides: list[int]) -> bool:
    """Whether v4 and v5p come in this shape: part of a cube of 4x4x4, or whole cubes."""
    whole = len(sides) == 3 and all(side and side % 4 == 0 for side in sides)
    ordered = all(a <= b for a, b in itertools.pairwise(sides))
    return shape in SMALL_CUBIC or (whole and ordered and math.prod(sides) <= LARGEST_CUBIC[chip])
