"""Barlow Twins, ViT-S/16 on ImageNet: its loss and views with the usual AdamW recipe of ViTs.

No published numbers. The class token and the position embedding have no weight decay.

python -m jax_bt.main --config=configs/barlow_vit_small.py
"""

from jax_bt import config


def get_config(arg: str = ""):
    c = config.imagenet_vit_small("barlow_twins")
    c.data.recipe = "barlow"
    c.heads.projector = (8192, 8192, 8192)
    c.loss.lambd = 0.0051
    return config.sized(c, arg)
