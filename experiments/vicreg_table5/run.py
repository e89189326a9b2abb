"""VICReg, table 5: branches that share no weights."""

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parents[1]))
from suite import Row, Table, main

METHODS = {"simclr": "SimCLR", "barlow": "Barlow Twins", "vicreg": "VICReg"}
PUBLISHED = {
    "simclr": (64.4, 63.1, 63.9),
    "barlow": (68.7, 64.2, 65.3),
    "vicreg": (68.6, 66.5, 68.1),
}
OTHERS = {"digits": "resnet18", "cifar": "resnet18", "imagenet": "resnet101"}


def rows(config, name):
    shared, separate, different = PUBLISHED[config]
    apart = {"branches": "separate"}
    yield Row(name=f"{name}, shared", config=config, published=(shared,))
    yield Row(name=f"{name}, separate", config=config, changes=apart, published=(separate,))
    yield Row(
        name=f"{name}, different encoders",
        config=config,
        changes=apart,
        published=(different,),
        **{scale: {"encoder_b.name": other} for scale, other in OTHERS.items()},
    )


TABLE = Table(
    name="vicreg_table5",
    title="VICReg, table 5: shared weights, separate weights, different encoders",
    setting="ImageNet, ResNet-50, with a ResNet-101 where different, 100 epochs, linear",
    published=("top-1",),
    rows=[row for config, name in METHODS.items() for row in rows(config, name)],
)


if __name__ == "__main__":
    main(TABLE)
