"""SimCLR, ResNet-50 on ImageNet: the paper's recipe (69.3 % linear top-1 after 1000 epochs).

python -m jax_bt.main --config=configs/simclr_r50.py
"""

from jax_bt import config


def get_config(arg: str = ""):
    c = config.imagenet_r50("simclr")
    c.batch_size = 4096
    c.data.recipe = "simclr"  # colours twice as strong, inputs not standardised
    c.heads.projector = (2048, 2048, 128)
    c.loss.temperature = 0.1
    c.gradient_scale = 2.0  # its code sums the two views' means, losses.nt_xent is their mean
    c.optimizer.name = "lars_inside"  # its LARS has the rate inside the momentum
    c.optimizer.learning_rate = 0.3  # 4.8 at batch 4096
    c.optimizer.weight_decay = 1e-6
    c.optimizer.final_fraction = 0.0
    return config.sized(c, arg)
