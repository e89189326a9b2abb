"""HSIC Barlow Twins, ResNet-50 on ImageNet: Barlow Twins' recipe with the other target.

python -m jax_bt.main --config=configs/hsic_barlow_r50.py

Its authors found it similar to Barlow Twins there and state no number.
"""

from jax_bt import config


def get_config(arg: str = ""):
    c = config.imagenet_r50("barlow_twins")
    c.data.recipe = "barlow"
    c.heads.projector = (8192, 8192, 8192)
    c.loss.off_diagonal = "neg_one"  # else as barlow_r50.py
    c.loss.lambd = 0.0051
    c.optimizer.learning_rate = 0.2
    c.optimizer.bias_learning_rate = 0.0048
    c.optimizer.weight_decay = 1e-6
    return config.sized(c, arg)
