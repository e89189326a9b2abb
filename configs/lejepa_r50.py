"""LeJEPA, ResNet-50 on ImageNet: lightly's recipe for a ViT-S/16 (64.0 % after 100 epochs).

python -m jax_bt.main --config=configs/lejepa_r50.py

The paper's encoders are ViTs (ViT-H/14: 79 % linear); this is the same loss on a ResNet-50.
"""

from jax_bt import config


def get_config(arg: str = ""):
    c = config.imagenet_r50("lejepa")
    c.batch_size = 256
    c.epochs = 100.0
    # DINO's crops: two large ones, of which the second may be solarised, and six small ones.
    large = {"base": "barlow", "crop": {"scale": (0.3, 1.0)}, "blur": {"p": 0.5}}
    small = large | {"size": 14 if arg else 96, "crop": {"scale": (0.05, 0.3)}}
    c.data.built = (large, large | {"solarize": {"p": 0.2}}, *[small] * 6)
    c.heads.projector = (2048, 2048, 128)
    c.loss.convention, c.loss.n_global = "lightly", 2
    c.loss.lam = 0.02
    c.optimizer.name = "adamw"
    c.optimizer.learning_rate = 5e-4
    c.optimizer.weight_decay = 5e-2
    c.optimizer.warmup_epochs, c.optimizer.warmup_fraction = 1.0, 0.01
    return config.sized(c, arg)
