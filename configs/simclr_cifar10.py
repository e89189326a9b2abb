"""SimCLR, ResNet-18 on CIFAR-10 (solo-learn: 90.74 % online probe after 1000 epochs).

python -m jax_bt.main --config=configs/simclr_cifar10.py
"""

from jax_bt import config


def get_config(arg: str = ""):
    c = config.cifar10("simclr")
    c.data.recipe = "cifar_simclr"
    c.heads.projector = (2048, 256)
    c.heads.norm = False  # biases instead
    c.loss.temperature = 0.2
    c.optimizer.learning_rate = 0.4
    c.optimizer.weight_decay = 1e-4
    return config.sized(c, arg)
