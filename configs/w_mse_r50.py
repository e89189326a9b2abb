"""W-MSE with four views, ResNet-50 on ImageNet (72.6 % after 400 epochs, third-party table).

python -m jax_bt.main --config=configs/w_mse_r50.py
"""

from jax_bt import config


def get_config(arg: str = ""):
    c = config.imagenet_r50("w_mse")
    c.batch_size = 256
    c.epochs = 400.0
    c.data.recipe = "w_mse"
    c.data.views = 4
    c.heads.projector = (1024, 128)
    c.loss.whitening_size = 256
    c.optimizer.name = "adam"  # with the decay in the gradient
    c.optimizer.learning_rate = 2e-3
    c.optimizer.weight_decay = 1e-6
    c.optimizer.warmup_epochs = 0.1  # 500 steps
    c.optimizer.drops = (50.0, 25.0)
    return config.sized(c, arg)
