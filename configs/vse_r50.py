"""VSE++'s hinge loss between two views of an image, ResNet-50 on ImageNet. No published numbers.

python -m jax_bt.main --config=configs/vse_r50.py
"""

from jax_bt import config


def get_config(arg: str = ""):
    c = config.imagenet_r50("vse")
    c.data.recipe = "simclr"
    c.heads.projector = (2048, 256)
    c.optimizer.name = "adam"
    c.optimizer.learning_rate = 1e-4  # 8e-4 at batch 2048: the loss is a sum over the batch
    return config.sized(c, arg)
