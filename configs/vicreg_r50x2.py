"""VICReg, ResNet-50 of twice the width on ImageNet (75.5 % linear top-1 after 1000 epochs).

python -m jax_bt.main --config=configs/vicreg_r50x2.py
"""

from jax_bt import config


def get_config(arg: str = ""):
    c = config.imagenet_r50("vicreg")
    # As vicreg_r50.py, whose values are VICReg's and the base's defaults, but for the encoder.
    c.data.recipe = "vicreg"
    c.encoder.name = "resnet50"
    c.encoder.width = 2  # features 4096 wide
    return config.sized(c, arg)
