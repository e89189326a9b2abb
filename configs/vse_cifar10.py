"""VSE++'s hinge loss between two views of an image, ResNet-18 on CIFAR-10. No published numbers.

python -m jax_bt.main --config=configs/vse_cifar10.py
"""

from jax_bt import config


def get_config(arg: str = ""):
    c = config.cifar10("vse", optimizer="adam")
    c.data.recipe = "cifar_simclr"
    c.heads.projector = (2048, 256)
    c.optimizer.learning_rate = 1e-3
    c.optimizer.weight_decay = 1e-6
    return config.sized(c, arg)
