"""SimCLR, figure 5: pairs of augmentations."""

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parents[1]))
from suite import Row, Table, main

WHOLE = {"crop": {"scale": (1.0, 1.0), "ratio": (1.0, 1.0)}}  # resized, never cropped
PLAIN = {"grayscale": None, "jitter": None}
KINDS = {"crop": PLAIN, "colour": WHOLE, "crop and colour": {}}
RECIPES = {"cifar": "cifar_simclr", "imagenet": "simclr"}


def row(name, changes):
    """At ImageNet's scale without blur: the pair is what is asked about."""
    by_scale = {
        scale: {
            "data.built": tuple(
                {"base": base, "view": view, "blur": None, **changes} for view in (0, 1)
            )
        }
        for scale, base in RECIPES.items()
    }
    return Row(name=name, config="simclr", digits=None, baselines=name == "crop", **by_scale)


TABLE = Table(
    name="simclr_pairs",
    title="SimCLR, figure 5: crop, colour, and the pair",
    rows=[row(name, changes) for name, changes in KINDS.items()],
)


if __name__ == "__main__":
    main(TABLE)
