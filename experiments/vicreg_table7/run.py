"""VICReg, table 7: the weights of the three terms."""

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parents[1]))
from suite import Row, Table, main

# (invariance, variance, covariance): top-1, or what the paper says of it
WEIGHTS = {
    (1, 0, 0): "collapse",
    (25, 0, 1): "collapse",
    (0, 25, 1): "collapse",
    (1, 1, 1): "collapse",
    (1, 10, 1): "collapse",
    (10, 1, 1): "collapse",
    (1, 1, 0): 57.5,
    (5, 5, 1): 68.1,
    (10, 10, 1): 68.2,
    (25, 25, 1): 68.6,
    (50, 50, 1): 68.3,
}
FIELDS = ("loss.invariance_weight", "loss.variance_weight", "loss.covariance_weight")
TABLE = Table(
    name="vicreg_table7",
    title="VICReg, table 7: weights of invariance, variance, covariance",
    setting="ImageNet, ResNet-50, 100 epochs, linear",
    published=("top-1",),
    rows=[
        Row(
            name=f"{weights}",
            config="vicreg",
            changes=dict(zip(FIELDS, map(float, weights), strict=True)),
            published=(published,),
        )
        for weights, published in WEIGHTS.items()
    ],
)


if __name__ == "__main__":
    main(TABLE)
