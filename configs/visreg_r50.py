"""VISReg, ResNet-50 on ImageNet: its recipe for a ViT-B/16 (75.7 % linear after 400 epochs).

python -m jax_bt.main --config=configs/visreg_r50.py

Its authors train ViTs, with gradients clipped at norm 1, which is not done here.
"""

from jax_bt import config


def get_config(arg: str = ""):
    c = config.imagenet_r50("visreg")
    c.batch_size = 128  # 16 on each of 8 GPUs
    c.epochs = 400.0
    colours = {"jitter": {"hue": 0.05}, "blur": {"p": 0.5}, "solarize": {"p": 0.2}}
    large = {"base": "barlow", "crop": {"scale": (0.3, 1.0)}, **colours}
    small = large | {"size": 14 if arg else 96, "crop": {"scale": (0.05, 0.3)}}
    c.data.built = (*[large] * 4, *[small] * 6)
    c.heads.projector = (2048, 2048, 256)
    c.loss.lam, c.loss.n_global = 0.9, 4
    c.optimizer.name = "adamw"
    c.optimizer.learning_rate = 1.8e-3  # 9e-4 at batch 128
    c.optimizer.weight_decay = 5e-2
    c.optimizer.warmup_epochs, c.optimizer.warmup_fraction = 5.0, 1e-3
    return config.sized(c, arg)
