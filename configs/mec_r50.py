"""MEC, ResNet-50 on ImageNet: the paper's recipe (70.8 % linear after 100 epochs).

python -m jax_bt.main --config=configs/mec_r50.py
"""

from jax_bt import config


def get_config(arg: str = ""):
    c = config.imagenet_r50("mec")
    c.batch_size = 1024
    c.epochs = 100.0
    c.data.recipe = "moco_v3"
    c.heads.projector = (2048, 2048, 2048)
    c.heads.predictor = (512, 2048)
    c.loss.warmup_steps = 12510  # 10 epochs
    c.target.momentum = 0.996  # rises to 1
    c.optimizer.name = "sgd"
    c.optimizer.learning_rate = 0.5  # 2.0 at batch 1024
    c.optimizer.weight_decay = 1e-5  # of everything, norms included
    c.optimizer.final_fraction = 0.0
    return config.sized(c, arg)
