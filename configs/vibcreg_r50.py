"""VIbCReg, ResNet-50 on ImageNet: VICReg's recipe with VIbCReg's head and loss.

python -m jax_bt.main --config=configs/vibcreg_r50.py

No published numbers: its paper has time series, solo-learn CIFAR and a ResNet-18 on ImageNet-100.
"""

from jax_bt import config


def get_config(arg: str = ""):
    c = config.imagenet_r50("vicreg")
    c.data.recipe = "vicreg"
    c.heads.projector = (2048, 2048, 2048)
    c.heads.activation = "gelu"
    c.heads.iter_norm = 64
    c.loss.correlation, c.loss.halve_variance = True, False
    c.loss.covariance_weight = 200.0
    c.optimizer.learning_rate = 0.2
    c.optimizer.weight_decay = 1e-6
    return config.sized(c, arg)
