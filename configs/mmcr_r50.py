"""MMCR with eight views and a momentum network, ResNet-50 on ImageNet: its code's recipe.

python -m jax_bt.main --config=configs/mmcr_r50.py

The code states no accuracy.
"""

from jax_bt import config


def get_config(arg: str = ""):
    c = config.imagenet_r50("mmcr")
    c.epochs = 100.0
    c.data.recipe = "barlow"
    c.data.views = 8  # four of each branch
    c.heads.projector = (8192, 8192, 512)
    c.target.momentum, c.target.cosine = 0.99, False
    c.optimizer.learning_rate = 0.8  # 6.4 at batch 2048, of all parameters
    c.optimizer.weight_decay = 1e-6
    return config.sized(c, arg)
