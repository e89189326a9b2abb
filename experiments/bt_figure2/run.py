"""Barlow Twins, figure 2, and VICReg, table 13: the size of the batch."""

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parents[1]))
from suite import Plot, Row, Table, main

BATCHES = (32, 64, 128, 256, 512)  # of the 1,297 training digits
FACTORS = (0.5, 1.0, 2.0)  # of the rate, which goes with the batch; the figure takes the best
METHODS = {"barlow": "Barlow Twins", "vicreg": "VICReg", "byol": "BYOL", "simclr": "SimCLR"}
# At ImageNet's scale: base rate of each batch, and what was published.
LARGE = {
    "barlow": {
        128: (0.7, 69.7),
        256: (0.4, 70.7),
        512: (0.3, 71.4),
        1024: (0.25, 71.7),
        2048: (0.2, 71.4),
        4096: (0.2, 70.7),
    },
    "vicreg": {
        128: (0.8, 67.3),
        256: (0.5, 67.9),
        512: (0.4, 68.2),
        1024: (0.3, 68.3),
        2048: (0.3, 68.6),
        4096: (0.3, 67.8),
    },
}
EPOCHS = {"barlow": 300.0, "vicreg": 100.0}


def small_rows(config, name):
    for batch in BATCHES:
        for factor in FACTORS:
            yield Row(
                name=f"{name}, {batch}, rate x {factor:g}",
                config=config,
                changes={"batch_size": batch, "optimizer.learning_rate": factor},
                digits={"steps": None, "epochs": 40.0},
                cifar=None,
                imagenet=None,
                series=name,
                x=batch,
            )


def large_rows(config, name):
    for batch, (rate, published) in LARGE[config].items():
        yield Row(
            name=f"{name}, {batch}, {EPOCHS[config]:g} epochs",
            config=config,
            changes={
                "batch_size": batch,
                "optimizer.learning_rate": rate,
                "epochs": EPOCHS[config],
            },
            digits=None,
            cifar=None,
            published=(published,),
        )


TABLE = Table(
    name="bt_figure2",
    title="Barlow Twins, figure 2: size of the batch",
    setting="ImageNet, ResNet-50, linear",
    published=("top-1",),
    rows=[
        *(row for config, name in METHODS.items() for row in small_rows(config, name)),
        *(row for config in LARGE for row in large_rows(config, METHODS[config])),
    ],
    plot=Plot("batch, at the best of three rates", log=True),
)


if __name__ == "__main__":
    main(TABLE)
