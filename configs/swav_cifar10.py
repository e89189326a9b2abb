"""SwAV, ResNet-18 on CIFAR-10 (solo-learn: 89.17 % online probe after 1000 epochs).

python -m jax_bt.main --config=configs/swav_cifar10.py
"""

from jax_bt import config


def get_config(arg: str = ""):
    c = config.cifar10("swav")
    c.data.recipe = "cifar_simclr"  # two crops: 32 pixels have no room for small ones
    c.heads.projector = (2048, 128)
    c.heads.prototypes = 3000
    c.loss.freeze_steps = 390  # two epochs
    c.target.queue_size = 3840
    c.target.queue_start = 9750  # epoch 50
    c.optimizer.learning_rate = 0.6
    c.optimizer.weight_decay = 1e-6
    return config.sized(c, arg)
