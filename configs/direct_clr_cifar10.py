"""DirectCLR, ResNet-18 on CIFAR-10: nothing is published; the share of features is the paper's.

python -m jax_bt.main --config=configs/direct_clr_cifar10.py
"""

from jax_bt import config


def get_config(arg: str = ""):
    c = config.cifar10("direct_clr")
    c.data.recipe = "cifar_simclr"
    c.loss.dimensions = 90  # of 512
    c.optimizer.learning_rate = 0.4
    c.optimizer.weight_decay = 1e-4
    return config.sized(c, arg)
