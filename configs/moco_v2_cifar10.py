"""MoCo v2, ResNet-18 on CIFAR-10 (lightly: 89.9 % kNN after 800 epochs at batch 512).

Its loss is the mean of both directions, its batch norm over groups of 64 examples: not so here.

python -m jax_bt.main --config=configs/moco_v2_cifar10.py
"""

from jax_bt import config


def get_config(arg: str = ""):
    c = config.cifar10("moco_v2", optimizer="sgd")
    c.batch_size = 512
    c.epochs = 800.0
    c.data.recipe = "cifar_lightly"
    c.heads.projector = (512, 128)
    c.loss.temperature = 0.1
    c.target.queue_size = 8192  # 4096 at batch 128
    c.target.momentum = 0.99
    c.optimizer.learning_rate = 0.12  # 0.06 for 128 examples
    c.optimizer.weight_decay = 5e-4
    c.optimizer.warmup_epochs = 0.0
    return config.sized(c, arg)
