"""Barlow Twins, figure 3, and BYOL, table 17: augmentations left out."""

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parents[1]))
from suite import Plot, Row, Table, main

METHODS = {"barlow": "Barlow Twins", "simclr": "SimCLR", "byol": "BYOL"}
# What each recipe leaves out; the small images are never blurred, so "crop and blur" is "crop".
OUT = {
    "all": (),
    "no grayscale": ("grayscale",),
    "no colour": ("grayscale", "jitter"),
    "crop and blur": ("grayscale", "jitter", "solarize", "flip"),
    "crop": ("grayscale", "jitter", "solarize", "flip", "blur"),
}
# Top-1 as BYOL's table 17 has it; Barlow Twins' figure is drawn alone.
PUBLISHED = {"byol": (72.5, 70.3, 63.4, 61.1, 59.4), "simclr": (67.9, 61.9, 45.7, 41.7, 40.3)}


def views(base, left_out):
    return {
        "data.built": tuple(
            {"base": base, "view": view, **dict.fromkeys(left_out)} for view in (0, 1)
        )
    }


def rows(config, name):
    for i, (recipe, out) in enumerate(OUT.items()):
        yield Row(
            name=f"{name}, {recipe}",
            config=config,
            digits=None,
            cifar=views(f"cifar_{config}", out) if recipe != "crop and blur" else None,
            imagenet=views(config, out),
            published=PUBLISHED[config][i : i + 1] if config in PUBLISHED else (),
            series=name,
            x=i,
        )


TABLE = Table(
    name="bt_figure3",
    title="Barlow Twins, figure 3: augmentations left out",
    setting="ImageNet, ResNet-50, 300 epochs, linear",
    published=("top-1",),
    rows=[row for config, name in METHODS.items() for row in rows(config, name)],
    plot=Plot("all, no grayscale, no colour, crop and blur, crop", metric="linear"),
)


if __name__ == "__main__":
    main(TABLE)
