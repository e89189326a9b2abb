"""Barlow Twins, table 6: asymmetric networks."""

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parents[1]))
from suite import Row, Table, main

PREDICTOR = {"digits": (256, 256), "imagenet": (8192, 8192)}


def row(name, published, stop_gradient=False, predictor=False):
    """A row; the predictor's widths are those of the projector."""
    changes = {"loss.stop_gradient": True} if stop_gradient else {}
    small, large = (
        {"heads.predictor": PREDICTOR[scale]} if predictor else {} for scale in PREDICTOR
    )
    return Row(
        name=name, changes=changes, digits=small, cifar=small, imagenet=large, published=published
    )


TABLE = Table(
    name="bt_table6",
    title="Barlow Twins, table 6: asymmetry",
    setting="ImageNet, ResNet-50, 300 epochs, linear",
    published=("top-1", "top-5"),
    rows=[
        row("baseline", (71.4, 90.2)),
        row("stop-gradient", (70.5, 89.0), stop_gradient=True),
        row("predictor", (70.2, 89.0), predictor=True),
        row("both", (61.3, 83.5), stop_gradient=True, predictor=True),
    ],
)


if __name__ == "__main__":
    main(TABLE)
