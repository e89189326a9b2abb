"""Barlow Twins, figure 4: the width of the projector."""

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parents[1]))
from suite import Plot, Row, Table, main

WIDTHS = (8, 16, 32, 64, 128, 256, 512)
METHODS = {"barlow": "Barlow Twins", "byol": "BYOL", "simclr": "SimCLR"}


def rows(config, name, **changes):
    """One row per width: of all layers of Barlow Twins, of the last one of the others."""
    for width in WIDTHS:
        last = (width, width, width) if config == "barlow" else (256, width)
        heads = {"heads.projector": last}
        if config == "byol":
            heads["heads.predictor"] = (256, width)
        yield Row(
            name=f"{name}, {width}",
            config=config,
            changes={**heads, **changes},
            imagenet=None,
            series=name,
            x=width,
        )


TABLE = Table(
    name="bt_figure4",
    title="Barlow Twins, figure 4: width of the projector",
    rows=[
        *(row for config, name in METHODS.items() for row in rows(config, name)),
        *rows("barlow", "Barlow Twins, λ = 1/d", **{"loss.lambd": "1/d"}),
    ],
    plot=Plot("width of the projector", log=True),
)


if __name__ == "__main__":
    main(TABLE)
