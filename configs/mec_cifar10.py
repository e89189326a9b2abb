"""MEC, ResNet-18 on CIFAR-10: no published numbers; SimSiam's recipe of solo-learn.

python -m jax_bt.main --config=configs/mec_cifar10.py
"""

from jax_bt import config


def get_config(arg: str = ""):
    c = config.cifar10("mec", optimizer="sgd")
    c.data.recipe = "cifar_moco_v3"  # MoCo v3's pair, as on ImageNet
    c.heads.projector = (2048, 2048, 2048)
    c.heads.predictor = (512, 2048)
    c.loss.warmup_steps = 1950  # 10 epochs
    c.target.momentum = 0.996
    c.optimizer.learning_rate = 0.5
    c.optimizer.weight_decay = 1e-5
    return config.sized(c, arg)
