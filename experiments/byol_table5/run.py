"""BYOL, table 5, and its motivating experiment: the target network's momentum."""

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parents[1]))
from suite import Row, Table, main


def row(name, momentum, published, baselines=False, **changes):
    return Row(
        name=name,
        config="byol",
        changes={"target.momentum": momentum, **changes},
        baselines=baselines,
        published=(published,),
    )


CONSTANT = {"target.cosine": False}
TABLE = Table(
    name="byol_table5",
    title="BYOL, table 5: momentum τ of the target, predictor, negatives",
    setting="ImageNet, ResNet-50, 300 epochs, linear",
    published=("top-1",),
    rows=[
        row("frozen random target, τ = 1", 1.0, 18.8, baselines=True),
        row("τ from 0.999 to 1", 0.999, 69.8),
        row("τ from 0.99 to 1", 0.99, 72.5),
        row("τ from 0.9 to 1", 0.9, 68.4),
        row("τ from 0.5 to 1", 0.5, ""),
        row("no target, τ = 0", 0.0, 0.3, **CONSTANT),
        row("no predictor (table 5b)", 0.99, 0.2, **{"heads.predictor": ()}),
        row("negatives, β = 1 (table 5b)", 0.99, 70.9, **{"loss.beta": 1.0}),
    ],
)


if __name__ == "__main__":
    main(TABLE)
