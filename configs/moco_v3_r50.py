"""MoCo v3, ResNet-50 on ImageNet: the paper's recipe (74.6 % linear top-1 after 1000 epochs).

python -m jax_bt.main --config=configs/moco_v3_r50.py
"""

from jax_bt import config


def get_config(arg: str = ""):
    c = config.imagenet_r50("moco_v3")
    c.batch_size = 4096
    c.data.recipe = "moco_v3"
    c.heads.projector = c.heads.predictor = (4096, 256)
    c.loss.temperature = 1.0
    c.target.momentum = 0.996  # 0.99 for 100 and 300 epochs (68.9 and 72.8 %)
    c.optimizer.learning_rate = 0.3  # 4.8 at batch 4096; 0.6 for 100 epochs
    c.optimizer.weight_decay = 1.5e-6  # 1e-6 below 1000 epochs
    c.optimizer.final_fraction = 0.0
    return config.sized(c, arg)
