"""VICReg, table 12: the width of the expander."""

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parents[1]))
from suite import Plot, Row, Table, main

SMALL = (8, 16, 32, 64, 128, 256, 512)
# Top-1 by width.
PUBLISHED = {
    256: 55.9,
    512: 59.2,
    1024: 62.4,
    2048: 65.1,
    4096: 67.3,
    8192: 68.6,
    16384: 68.8,
}


def row(width, published=(), **scales):
    return Row(
        name=f"{width}",
        config="vicreg",
        changes={"heads.projector": (width,) * 3},
        published=published,
        series="VICReg",
        x=width,
        **scales,
    )


TABLE = Table(
    name="vicreg_table12",
    title="VICReg, table 12: width of the expander",
    setting="ImageNet, ResNet-50, 100 epochs, linear",
    published=("top-1",),
    rows=[
        *(row(width, imagenet=None) for width in SMALL if width not in PUBLISHED),
        *(
            row(
                width,
                (top1,),
                imagenet={"epochs": 100.0, "optimizer.learning_rate": 0.3},
                **dict.fromkeys(("digits", "cifar"), {} if width in SMALL else None),
            )
            for width, top1 in PUBLISHED.items()
        ),
    ],
    plot=Plot("width of the expander", log=True),
)


if __name__ == "__main__":
    main(TABLE)
