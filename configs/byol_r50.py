"""BYOL, ResNet-50 on ImageNet: the paper's recipe (74.3 % linear top-1 after 1000 epochs).

python -m jax_bt.main --config=configs/byol_r50.py
"""

from jax_bt import config


def get_config(arg: str = ""):
    c = config.imagenet_r50("byol")
    c.batch_size = 4096
    c.data.recipe = "byol"
    c.heads.projector = c.heads.predictor = (4096, 256)
    c.target.momentum = 0.996  # 0.99 for 100 and 300 epochs, 0.97 for 40; rises to 1
    c.optimizer.learning_rate = 0.2  # 3.2 at batch 4096; 0.3 for 300 epochs, 0.45 for 100
    c.optimizer.weight_decay = 1.5e-6
    c.optimizer.final_fraction = 0.0
    return config.sized(c, arg)
