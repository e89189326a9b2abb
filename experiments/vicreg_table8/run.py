"""VICReg, table 8: normalisation in the expander and of the embeddings."""

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parents[1]))
from suite import Row, Table, main

# (batch norm in the expander, normalisation of the embeddings): top-1
PUBLISHED = {
    (True, "none"): 68.6,
    (True, "std"): 68.4,
    (False, "std"): 67.4,
    (False, "none"): 67.2,
    (False, "l2"): 65.1,
}
TABLE = Table(
    name="vicreg_table8",
    title="VICReg, table 8: normalisation",
    setting="ImageNet, ResNet-50, 100 epochs, linear",
    published=("top-1",),
    rows=[
        Row(
            name=f"{'batch norm' if norm else 'none'} in the expander, {of} on the embeddings",
            config="vicreg",
            changes={"heads.norm": norm, "loss.normalize": of},
            published=(published,),
        )
        for (norm, of), published in PUBLISHED.items()
    ],
)


if __name__ == "__main__":
    main(TABLE)
