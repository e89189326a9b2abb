"""SeLa v2, ResNet-18 on CIFAR-10: nobody published it; the recipe is DeepCluster v2's.

python -m jax_bt.main --config=configs/sela_v2_cifar10.py
"""

from jax_bt import config


def get_config(arg: str = ""):
    c = config.cifar10("sela_v2")
    c.data.recipe = "cifar_simclr"
    c.heads.projector = (2048, 128)
    c.heads.prototypes = (3000, 3000, 3000)
    c.optimizer.learning_rate = 0.6
    c.optimizer.weight_decay = 1e-6
    c.optimizer.warmup_epochs = 11.0
    c.optimizer.warmup_fraction = 0.0
    c.optimizer.final_fraction = 0.001
    return config.sized(c, arg)
