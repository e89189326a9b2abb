"""VIbCReg, ResNet-18 on CIFAR-10 (solo-learn: 91.18 % online probe after 1000 epochs).

python -m jax_bt.main --config=configs/vibcreg_cifar10.py
"""

from jax_bt import config


def get_config(arg: str = ""):
    c = config.cifar10("vicreg")
    c.data.recipe = "cifar_vicreg"
    c.heads.projector = (2048, 2048, 2048)
    c.heads.activation = "gelu"
    c.heads.iter_norm = 64
    c.loss.correlation, c.loss.halve_variance = True, False
    c.loss.covariance_weight = 200.0
    c.optimizer.learning_rate = 0.3
    c.optimizer.weight_decay = 1e-4
    return config.sized(c, arg)
