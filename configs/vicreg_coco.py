"""VICReg on MS-COCO's captions (table 3): 33.6 % of captions and 45.2 % of images at R@1.

The paper gives neither expander nor optimiser nor what is compared: the expander is ImageNet's, one
per branch, optimiser and batch are VSE++'s, and embeddings are compared. Its coefficients differ
between the branches, by unknown numbers: loss.variance_weight_b, loss.covariance_weight_b.

python -m jax_bt.main --config=configs/vicreg_coco.py --config.init.weights=resnet152.pth
"""

from jax_bt import config


def get_config(arg: str = ""):
    c = config.coco("vicreg")
    c.heads.projector = (8192, 8192, 8192)
    return config.sized(c, arg)
