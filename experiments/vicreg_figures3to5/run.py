"""VICReg, figures 3 to 5: the variance term beside BYOL and SimSiam."""

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parents[1]))
from suite import Plot, Row, Table, main

METHODS = {"byol": "BYOL", "simsiam": "SimSiam"}
TERMS = {"": {}, " with variance": {"loss.variance_weight": 1.0}}
# Steps at the small scales, epochs at ImageNet's; BYOL with variance gains 0.9 at 100 epochs and
# 0.2 at 1000.
LENGTHS = {50: 100.0, 100: 200.0, 200: 400.0, 400: 1000.0}
CURVES = {
    "collapse/representation_std_ratio": "deviation of representations x √width",
    "collapse/embedding_std_ratio": "deviation of embeddings x √width",
    "collapse/representation_correlation": "correlation of representations",
}


def rows(config, name):
    for term, changes in TERMS.items():
        for steps, epochs in LENGTHS.items():
            small = {"steps": steps, "diagnostics_every": 10}
            yield Row(
                name=f"{name}{term}, {steps} steps",
                config=config,
                changes=changes,
                digits=small,
                cifar=small,
                imagenet={"epochs": epochs},
                series=f"{name}{term}",
                x=steps,
            )


TABLE = Table(
    name="vicreg_figures3to5",
    title="VICReg, figures 3 to 5: BYOL and SimSiam with the variance term",
    rows=[row for config, name in METHODS.items() for row in rows(config, name)],
    plot=Plot("steps", log=True, curves=CURVES),
)


if __name__ == "__main__":
    main(TABLE)
