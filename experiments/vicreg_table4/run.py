"""VICReg, table 4: variance and covariance terms beside other methods' parts."""

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parents[1]))
from suite import Row, Table, main

# The networks' parts (M: momentum target, S: stop-gradient, P: predictor, B: batch norm) with the
# config and fields that make them; then top-1 without a term, with variance, with both terms.
BYOL = "M S P B"
PARTS = {
    BYOL: ("byol", {}, (69.3, 70.2, 69.5)),
    "S P B": ("simsiam", {}, (67.9, 68.1, 67.6)),
    "S P": ("simsiam", {"heads.norm": False}, (35.1, 67.3, 67.1)),
    "S": ("simsiam", {"heads.norm": False, "heads.predictor": ()}, ("collapse", 56.8, 66.1)),
    "P": ("vicreg", {"heads.norm": False}, ("collapse", 56.2, 67.3)),
    "P B": ("vicreg", {}, ("collapse", 57.1, 68.7)),
    "B": ("vicreg", {}, ("collapse", 57.5, 68.6)),
    "none": ("vicreg", {"heads.norm": False}, ("collapse", 56.5, 67.4)),
}
# Weights of (variance, covariance) by the size of the method's own term.
TERMS = {"no term": (0.0, 0.0), "variance": (1.0, 0.0), "variance and covariance": (1.0, 0.01)}
OF_VICREG = {"variance": (25.0, 0.0), "variance and covariance": (25.0, 1.0)}


def rows(parts, config, changes, published):
    for (terms, weights), top1 in zip(TERMS.items(), published, strict=True):
        variance, covariance = weights if config != "vicreg" else OF_VICREG.get(terms, weights)
        fields = {
            **changes,
            "loss.variance_weight": variance,
            "loss.covariance_weight": covariance,
        }
        has_predictor = config == "vicreg" and "P" in parts
        small, large = ({"heads.predictor": (w, w)} if has_predictor else {} for w in (256, 8192))
        yield Row(
            name=f"{parts}, {terms}",
            config=config,
            changes=fields,
            digits={**small, "steps": 100},
            cifar=None,
            imagenet={**large, "epochs": 100.0},
            published=(top1,),
        )


TABLE = Table(
    name="vicreg_table4",
    title="VICReg, table 4: Momentum target, Stop-gradient, Predictor, Batch norm, and its terms",
    setting="ImageNet, ResNet-50, 100 epochs, linear",
    published=("top-1",),
    rows=[row for parts, of in PARTS.items() for row in rows(parts, *of)],
)


if __name__ == "__main__":
    main(TABLE)
