"""DirectCLR, ResNet-50 on ImageNet: the paper's recipe (62.7 % linear after 100 epochs).

python -m jax_bt.main --config=configs/direct_clr_r50.py
"""

from jax_bt import config


def get_config(arg: str = ""):
    c = config.imagenet_r50("direct_clr")
    c.batch_size = 4096
    c.epochs = 100.0
    c.loss.dimensions = 360
    c.optimizer.learning_rate = 0.3  # 4.8 at batch 4096, of biases too
    c.optimizer.bias_learning_rate = 0.3
    c.optimizer.weight_decay = 1e-6
    return config.sized(c, arg)
