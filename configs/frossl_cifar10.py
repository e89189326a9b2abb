"""FroSSL, ResNet-18 on CIFAR-10: the recipe of its code (1000 epochs; it states no number).

python -m jax_bt.main --config=configs/frossl_cifar10.py
"""

from jax_bt import config


def get_config(arg: str = ""):
    c = config.cifar10("frossl")
    c.data.recipe = "cifar_vicreg"  # both views alike
    c.heads.projector = (2048, 2048, 1024)
    c.loss.invariance_weight = 1.0
    c.optimizer.learning_rate = 0.3
    c.optimizer.weight_decay = 1e-4
    return config.sized(c, arg)
