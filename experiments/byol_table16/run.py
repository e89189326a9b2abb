"""BYOL, table 16: small batches, whose gradients are averaged to the same number of images."""

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parents[1]))
from suite import Plot, Row, Table, main

METHODS = {"byol": "BYOL", "simclr": "SimCLR"}
COUNTS = (1, 2, 4, 8, 16, 32, 64)  # small batches per update: of 4096, ... 64 images
PUBLISHED = {
    "byol": (72.5, 72.4, 72.2, 72.2, 71.8, 69.6, 59.7),
    "simclr": (67.9, 67.8, 67.4, 66.5, 64.3, 63.6, 59.2),
}
SMALL = (1, 2, 4, 8, 16)  # of 256, ... 16 images


def rows(config, name):
    """An update always sees the whole batch of 4096 images, of 256 at the small scales."""
    for count, published in zip(COUNTS, PUBLISHED[config], strict=True):
        small = {} if count in SMALL else None
        yield Row(
            name=f"{name}, 1/{count}",
            config=config,
            changes={"small_batches": count},
            digits=small,
            cifar=small,
            imagenet={"batch_size": 4096, "epochs": 300.0},
            published=(published,),
            series=name,
            x=count,
        )


TABLE = Table(
    name="byol_table16",
    title="BYOL, table 16: small batches per update",
    setting="ImageNet, ResNet-50, 300 epochs, linear",
    published=("top-1",),
    rows=[row for config, name in METHODS.items() for row in rows(config, name)],
    plot=Plot("small batches per update", log=True),
)


if __name__ == "__main__":
    main(TABLE)
