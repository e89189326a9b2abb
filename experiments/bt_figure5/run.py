"""Barlow Twins, figure 5: the weight of the redundancy term."""

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parents[1]))
from suite import Plot, Row, Table, main

PUBLISHED = {0.002: "", 0.005: 71.4, 0.007: "", 0.010: "", 0.015: "", 0.020: ""}
TABLE = Table(
    name="bt_figure5",
    title="Barlow Twins, figure 5: λ",
    setting="ImageNet, ResNet-50, 300 epochs, linear; the others within 70.8 to 71.6",
    published=("top-1",),
    rows=[
        Row(
            name=f"λ = {value:g}",
            changes={"loss.lambd": value},
            series="Barlow Twins",
            x=value,
            published=(published,),
        )
        for value, published in PUBLISHED.items()
    ],
    plot=Plot("λ"),
)


if __name__ == "__main__":
    main(TABLE)
