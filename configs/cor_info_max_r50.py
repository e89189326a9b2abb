"""CorInfoMax, ResNet-50 on ImageNet: the paper's recipe (69.08 % linear after 100 epochs).

python -m jax_bt.main --config=configs/cor_info_max_r50.py

Its code computes the determinants in float64, and here they are in float32.
"""

from jax_bt import config


def get_config(arg: str = ""):
    c = config.imagenet_r50("cor_info_max")
    c.batch_size = 1536
    c.epochs = 100.0
    c.data.recipe = "vicreg"
    c.heads.projector = (8192, 8192, 512)
    c.loss.la = 0.1
    c.loss.sim_weight = 2000.0
    c.optimizer.name = "sgd"
    c.optimizer.learning_rate = 0.2 / 6  # 0.2 at batch 1536
    c.optimizer.weight_decay = 1e-4
    c.optimizer.final_fraction = 5e-6  # to 1e-6
    return config.sized(c, arg)
