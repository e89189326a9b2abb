"""Barlow Twins on MS-COCO (VICReg, table 3): 31.4 % of captions, 42.9 % of images at R@1.

The paper gives neither expander nor optimiser nor what is compared: the expander is ImageNet's, one
per branch, optimiser and batch are VSE++'s, and embeddings are compared.

python -m jax_bt.main --config=configs/barlow_coco.py --config.init.weights=resnet152.pth
"""

from jax_bt import config


def get_config(arg: str = ""):
    c = config.coco("barlow_twins")
    c.heads.projector = (8192, 8192, 8192)
    c.loss.lambd = 0.0051
    return config.sized(c, arg)
