"""MoCo v2, ResNet-50 on ImageNet: the paper's recipe (67.5 % linear top-1 after 200 epochs).

python -m jax_bt.main --config=configs/moco_v2_r50.py
"""

from jax_bt import config


def get_config(arg: str = ""):
    c = config.imagenet_r50("moco_v2")
    c.batch_size = 256
    c.epochs = 200.0  # 800 for 71.1 %
    c.data.recipe = "moco_v2"
    c.encoder.zero_init_residual = False
    c.heads.projector = (2048, 128)
    c.loss.temperature = 0.2
    c.target.queue_size = 65536
    c.target.momentum = 0.999
    c.optimizer.name = "sgd"
    c.optimizer.learning_rate = 0.03
    c.optimizer.weight_decay = 1e-4
    c.optimizer.warmup_epochs = 0.0
    c.optimizer.final_fraction = 0.0
    c.optimizer.per_epoch = True
    return config.sized(c, arg)
