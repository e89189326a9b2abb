"""Barlow Twins, table 7: BYOL with larger heads."""

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parents[1]))
from suite import Row, Table, main

# (projector, predictor) at ImageNet's scale, and its top-1
PUBLISHED = {
    ((4096, 256), (4096, 256)): 74.1,
    ((4096, 4096, 256), (4096, 256)): 74.0,
    ((4096, 4096, 256), (4096, 4096, 256)): 73.2,
    ((4096, 4096, 512), (4096, 512)): 73.7,
    ((4096, 4096, 512), (4096, 4096, 512)): 73.2,
    ((8192, 8192, 8192), (8192, 8192)): 72.3,
}
SMALLER = 16  # factor between the widths at ImageNet's scale and at the small ones


def heads(factor, **widths):
    """The config's fields."""
    return {f"heads.{name}": tuple(w // factor for w in given) for name, given in widths.items()}


def row(projector, predictor, published):
    small = heads(SMALLER, projector=projector, predictor=predictor)
    return Row(
        name=f"{'-'.join(map(str, projector))}, then {'-'.join(map(str, predictor))}",
        config="byol",
        digits=small,
        cifar=small,
        imagenet=heads(1, projector=projector, predictor=predictor),
        published=(published,),
    )


TABLE = Table(
    name="bt_table7",
    title="Barlow Twins, table 7: BYOL with larger heads (at the small scales, widths / 16)",
    setting="ImageNet, ResNet-50, 1000 epochs, linear",
    published=("top-1",),
    rows=[row(*widths, published) for widths, published in PUBLISHED.items()],
)


if __name__ == "__main__":
    main(TABLE)
