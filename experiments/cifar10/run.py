"""Four methods on all of CIFAR-10 by their own configs: a ResNet-18 at 32 pixels, for a GPU."""

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parents[1]))
from suite import Plot, Row, Table, main

# Online linear probe after 1000 epochs (solo-learn's table of results).
METHODS = {
    "barlow": ("Barlow Twins", 92.10),
    "vicreg": ("VICReg", 92.07),
    "byol": ("BYOL", 92.58),
    "simclr": ("SimCLR", 90.74),
}
TABLE = Table(
    name="cifar10",
    title="CIFAR-10 at full resolution",
    setting="solo-learn, 1000 epochs",
    published=("online linear",),
    rows=[
        Row(
            name=name,
            config=config,
            digits=None,
            cifar=None,
            resnet18={},
            imagenet=None,
            baselines=config == "barlow",
            published=(top1,),
        )
        for config, (name, top1) in METHODS.items()
    ],
    plot=Plot(curves={"knn_top1": "kNN after each epoch, top-1 %"}),
)


if __name__ == "__main__":
    main(TABLE)
