"""VICReg, ViT-S/16 on ImageNet: VICReg's loss and views with the usual AdamW recipe of ViTs.

No published numbers. The class token and the position embedding have no weight decay.

python -m jax_bt.main --config=configs/vicreg_vit_small.py
"""

from jax_bt import config


def get_config(arg: str = ""):
    c = config.imagenet_vit_small("vicreg")
    c.data.recipe = "vicreg"
    c.heads.projector = (8192, 8192, 8192)
    c.loss.invariance_weight, c.loss.variance_weight, c.loss.covariance_weight = 25.0, 25.0, 1.0
    return config.sized(c, arg)
