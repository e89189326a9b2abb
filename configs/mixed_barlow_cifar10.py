"""Mixed Barlow Twins, ResNet-18 on CIFAR-10 (its authors: 92.58 % linear, 90.52 % kNN).

python -m jax_bt.main --config=configs/mixed_barlow_cifar10.py
"""

from jax_bt import config


def get_config(arg: str = ""):
    c = config.cifar10("mixed_barlow_twins", optimizer="adam")  # with the decay in the gradient
    c.epochs = 2000.0
    c.data.recipe = "cifar_simsiam"
    c.heads.projector = (512, 1024)
    c.heads.bias = True
    c.loss.unit_rows = True
    c.loss.lambd = 0.0078125
    c.loss.mixup_loss_scale = 4.0
    c.optimizer.learning_rate = 0.01
    c.optimizer.weight_decay = 1e-6
    c.optimizer.final_fraction = 0.001
    return config.sized(c, arg)
