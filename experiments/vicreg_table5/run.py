"""VICReg, table 5: branches that share no weights."""

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parents[1]))
from suite import Row, Table, main

METHODS = {"simclr": "SimCLR", "barlow": "Barlow Twins", "vicreg": "VICReg"}
# Second encoders by scale; the first is that of the config, and is the one that is evaluated.
RESNET = {"digits": "resnet18", "cifar": "resnet18", "imagenet": "resnet101"}
VIT = {"digits": "vit_toy_patch4", "cifar": "vit_toy_patch4", "imagenet": "vit_small_patch16"}
PUBLISHED = {
    "simclr": (64.4, 63.1, 63.9, 63.5),
    "barlow": (68.7, 64.2, 65.3, 63.9),
    "vicreg": (68.6, 66.5, 68.1, 66.2),
}


def second(names, **changes):
    """Fields of the second branch's encoder at each scale."""
    fields = {scale: {"encoder_b.name": name} for scale, name in names.items()}
    fields["digits"].update({f"encoder_b.{name}": value for name, value in changes.items()})
    return fields


def rows(config, name):
    apart = {"branches": "separate"}
    kinds = {
        "shared": ({}, {}),
        "separate": (apart, {}),
        "a deeper ResNet": (apart, second(RESNET)),
        "a ViT": (apart, second(VIT, patch_size=2)),
    }
    for (kind, (changes, scales)), top1 in zip(kinds.items(), PUBLISHED[config], strict=True):
        yield Row(
            name=f"{name}, {kind}", config=config, changes=changes, published=(top1,), **scales
        )


TABLE = Table(
    name="vicreg_table5",
    title="VICReg, table 5: shared weights, separate weights, different encoders",
    setting="ImageNet, ResNet-50, beside a ResNet-101 or a ViT-S, 100 epochs, linear",
    published=("top-1",),
    rows=[row for config, name in METHODS.items() for row in rows(config, name)],
)


if __name__ == "__main__":
    main(TABLE)
