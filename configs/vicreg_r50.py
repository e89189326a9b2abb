"""VICReg, ResNet-50 on ImageNet: the paper's recipe (73.2 % linear top-1 after 1000 epochs).

python -m jax_bt.main --config=configs/vicreg_r50.py
"""

from jax_bt import config


def get_config(arg: str = ""):
    c = config.imagenet_r50("vicreg")
    c.data.recipe = "vicreg"  # of its code: Barlow Twins' pair; "vicreg_paper" is the text's
    c.heads.projector = (8192, 8192, 8192)
    c.loss.invariance_weight, c.loss.variance_weight, c.loss.covariance_weight = 25.0, 25.0, 1.0
    c.optimizer.learning_rate = 0.2  # 1.6 at batch 2048, of all parameters; 0.3 for 100 epochs
    c.optimizer.weight_decay = 1e-6
    return config.sized(c, arg)
