"""BYOL, ResNet-18 on CIFAR-10 (solo-learn: 92.58 % online probe after 1000 epochs).

python -m jax_bt.main --config=configs/byol_cifar10.py
"""

from jax_bt import config


def get_config(arg: str = ""):
    c = config.cifar10("byol")
    c.data.recipe = "cifar_byol"
    c.heads.projector = c.heads.predictor = (4096, 256)
    c.target.momentum = 0.99
    c.optimizer.learning_rate = 1.0
    c.optimizer.weight_decay = 1e-5
    return config.sized(c, arg)
