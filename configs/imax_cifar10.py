"""IMAX, ResNet-18 on CIFAR-10: no published numbers; Barlow Twins' recipe.

python -m jax_bt.main --config=configs/imax_cifar10.py
"""

from jax_bt import config


def get_config(arg: str = ""):
    c = config.cifar10("imax")
    c.data.recipe = "cifar_barlow"
    c.heads.projector = (2048, 2048, 2048)
    c.loss.eps = 1e-3
    c.optimizer.learning_rate = 0.3
    c.optimizer.weight_decay = 1e-4
    return config.sized(c, arg)
