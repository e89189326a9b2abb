"""DeepCluster v2, ResNet-18 on CIFAR-10 (solo-learn: 88.85 % online probe after 1000 epochs).

python -m jax_bt.main --config=configs/deepcluster_v2_cifar10.py
"""

from jax_bt import config


def get_config(arg: str = ""):
    c = config.cifar10("deepcluster_v2")
    c.data.recipe = "cifar_simclr"
    c.heads.projector = (2048, 128)
    c.target.clusters = (3000, 3000, 3000)
    c.optimizer.learning_rate = 0.6
    c.optimizer.weight_decay = 1e-6
    c.optimizer.warmup_epochs = 11.0
    c.optimizer.warmup_fraction = 0.0
    c.optimizer.final_fraction = 0.001
    return config.sized(c, arg)
