"""VICReg, ResNet-18 on CIFAR-10 (solo-learn: 92.07 % online probe after 1000 epochs).

python -m jax_bt.main --config=configs/vicreg_cifar10.py
"""

from jax_bt import config


def get_config(arg: str = ""):
    c = config.cifar10("vicreg")
    c.data.recipe = "cifar_vicreg"  # both views alike, without blur
    c.heads.projector = (2048, 2048, 2048)
    c.loss.halve_variance = False  # as in the paper's text
    c.optimizer.learning_rate = 0.3
    c.optimizer.weight_decay = 1e-4
    return config.sized(c, arg)
