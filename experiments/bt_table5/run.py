"""Barlow Twins, table 5: what of the loss is needed."""

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parents[1]))
from suite import Row, Table, main

TABLE = Table(
    name="bt_table5",
    title="Barlow Twins, table 5: ablation of the loss",
    setting="ImageNet, ResNet-50, 300 epochs, linear",
    published=("top-1", "top-5"),
    rows=[
        Row(
            name="baseline",
            baselines=True,
            published=(71.4, 90.2),
        ),
        Row(
            name="only the invariance term (on-diagonal)",
            changes={"loss.terms": "invariance"},
            published=(57.3, 80.5),
        ),
        Row(
            name="only the redundancy term (off-diagonal)",
            changes={"loss.terms": "redundancy"},
            published=(0.1, 0.5),
        ),
        Row(
            name="normalised over the features",
            changes={"loss.normalize": "features"},
            published=(69.8, 88.8),
        ),
        Row(name="no batch norm in the MLP", changes={"heads.norm": False}, published=(71.2, 89.7)),
        Row(
            name="no batch norm, not normalised (cross-covariance)",
            changes={"heads.norm": False, "loss.normalize": "none"},
            published=(53.4, 76.7),
        ),
        Row(
            name="cross-entropy with a temperature",
            changes={"loss.temperature": 0.1},
            published=(63.3, 85.7),
        ),
    ],
)


if __name__ == "__main__":
    main(TABLE)
