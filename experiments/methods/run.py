"""Every method at one budget: the comparison of redundancy reduction's family."""

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parents[1]))
from suite import Row, Table, main

# Linear top-1 of a ResNet-50 on ImageNet, as its paper or code states it, with its epochs.
METHODS = {
    "barlow": ("Barlow Twins", 73.2, 1000),
    "vicreg": ("VICReg", 73.2, 1000),
    "vicregl": ("VICRegL", 71.2, "300, α = 0.9"),
    "byol": ("BYOL", 74.3, 1000),
    "simclr": ("SimCLR", 69.3, 1000),
    "simsiam": ("SimSiam", 71.3, 800),
    "moco_v2": ("MoCo v2", 71.1, 800),
    "moco_v3": ("MoCo v3", 74.6, 1000),
    "swav": ("SwAV", 75.3, 800),
    "deepcluster_v2": ("DeepCluster v2", 75.2, 800),
    "sela_v2": ("SeLa v2", 67.2, "400, two crops"),
    "obow": ("OBoW", 73.8, 200),
    "w_mse": ("W-MSE", 66.3, "Barlow Twins, app. A"),
    "imax": ("IMAX",),
    "direct_clr": ("DirectCLR", 62.7, 100),
    "lejepa": ("LeJEPA",),
    "visreg": ("VISReg",),
    "frossl": ("FroSSL",),
    "mmcr": ("MMCR",),
    "tcr": ("TCR",),
    "cor_info_max": ("CorInfoMax", 69.08, 100),
    "tico": ("TiCo", 49.7, "100, lightly"),
    "mixed_barlow": ("Mixed Barlow Twins", 72.2, 300),
    "mec": ("MEC", 70.8, 100),
    "hsic_barlow": ("HSIC Barlow Twins",),
    "vibcreg": ("VIbCReg",),
}
SAME = {"steps": 200, "batch_size": 256}  # some configs of the digits take fewer
SMALLER = {**SAME, "data.image_size": 12}  # 16 pixels take twice as long: 22 methods, three seeds
CIFAR = {"obow": None}  # not run yet: its crops need a size of their own at 12 pixels
TABLE = Table(
    name="methods",
    title="All methods at the same number of images",
    setting="ImageNet, ResNet-50, linear",
    published=("top-1", "epochs"),
    rows=[
        Row(
            name=name,
            config=config,
            digits=SAME,
            cifar=CIFAR.get(config, SMALLER),
            baselines=config == "barlow",
            published=published,
        )
        for config, (name, *published) in METHODS.items()
    ],
)


if __name__ == "__main__":
    main(TABLE)
