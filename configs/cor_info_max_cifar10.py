"""CorInfoMax, ResNet-18 on CIFAR-10 (its authors: 93.18 % after 1000 epochs).

python -m jax_bt.main --config=configs/cor_info_max_cifar10.py
"""

from jax_bt import config


def get_config(arg: str = ""):
    c = config.cifar10("cor_info_max", optimizer="sgd")
    c.batch_size = 512
    c.data.recipe = "cifar_vicreg"
    c.encoder.zero_init_residual = True
    c.heads.projector = (2048, 2048, 64)
    c.loss.sim_weight = 250.0
    c.optimizer.learning_rate = 0.25  # 0.5 at batch 512
    c.optimizer.weight_decay = 1e-4
    c.optimizer.warmup_fraction = 0.006  # from 3e-3 to 0.5
    return config.sized(c, arg)
