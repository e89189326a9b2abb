"""SeLa v2, ResNet-50 on ImageNet: 67.2 % after 400 epochs of two crops (SwAV's paper).

python -m jax_bt.main --config=configs/sela_v2_r50.py
"""

from jax_bt import config


def get_config(arg: str = ""):
    c = config.imagenet_r50("sela_v2")
    c.batch_size = 4096
    c.epochs = 400.0
    c.data.recipe = "swav"
    c.data.views = 2  # the crops of 224 pixels alone
    c.encoder.zero_init_residual = False
    c.heads.projector = (2048, 128)
    c.heads.prototypes = (3000, 3000, 3000)
    c.optimizer.name = "larc"
    c.optimizer.learning_rate = 0.3  # 4.8 at batch 4096
    c.optimizer.weight_decay = 1e-6
    c.optimizer.warmup_fraction = 1 / 16  # from 0.3 to 4.8
    return config.sized(c, arg)
