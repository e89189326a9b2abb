"""MMCR with 40 views on CIFAR-10: the recipe of its code, with a ResNet-18 for its ResNet-50.

python -m jax_bt.main --config=configs/mmcr_cifar10.py

Its code keeps the rate constant; here it follows the cosine of all configs.
"""

from jax_bt import config


def get_config(arg: str = ""):
    c = config.cifar10("mmcr", optimizer="adam")  # with the decay in the gradient
    c.batch_size = 32
    c.epochs = 500.0
    c.data.recipe = "cifar_simclr"
    c.data.views = 40
    c.heads.projector = (512, 128)
    c.optimizer.learning_rate = 8e-3  # 1e-3 at batch 32
    c.optimizer.weight_decay = 1e-6
    c.optimizer.warmup_epochs = 0.0
    return config.sized(c, arg)
