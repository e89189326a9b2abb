"""IMAX, ResNet-50 on ImageNet: Barlow Twins' recipe, for a loss with which it did not succeed.

python -m jax_bt.main --config=configs/imax_r50.py
"""

from jax_bt import config


def get_config(arg: str = ""):
    c = config.imagenet_r50("imax")
    # The paper publishes no hyper-parameters: these are Barlow Twins', with a narrower projector.
    c.epochs = 300.0
    c.data.recipe = "barlow"
    c.heads.projector = (2048, 2048, 2048)
    c.loss.eps = 1e-3
    c.optimizer.learning_rate = 0.2
    c.optimizer.bias_learning_rate = 0.0048
    c.optimizer.weight_decay = 1e-6
    return config.sized(c, arg)
