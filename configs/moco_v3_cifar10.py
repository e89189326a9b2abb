"""MoCo v3, ResNet-18 on CIFAR-10 (solo-learn: 93.10 % online probe after 1000 epochs).

python -m jax_bt.main --config=configs/moco_v3_cifar10.py
"""

from jax_bt import config


def get_config(arg: str = ""):
    c = config.cifar10("moco_v3")
    c.data.recipe = "cifar_moco_v3"
    c.heads.projector = c.heads.predictor = (4096, 256)
    c.loss.temperature = 0.2
    c.target.momentum = 0.99
    c.optimizer.learning_rate = 0.3
    c.optimizer.weight_decay = 1e-6
    return config.sized(c, arg)
