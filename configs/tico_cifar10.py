"""TiCo, ResNet-18 on CIFAR-10: no published numbers; BYOL's recipe of solo-learn.

python -m jax_bt.main --config=configs/tico_cifar10.py
"""

from jax_bt import config


def get_config(arg: str = ""):
    c = config.cifar10("tico")
    c.data.recipe = "cifar_byol"
    c.heads.projector = (4096, 256)
    c.loss.rho = 8.0
    c.target.momentum = 0.99
    c.optimizer.learning_rate = 1.0
    c.optimizer.weight_decay = 1e-5
    return config.sized(c, arg)
