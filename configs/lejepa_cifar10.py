"""LeJEPA, ResNet-18 on CIFAR-10 (eb_jepa: 91.02 % online probe after 300 epochs).

python -m jax_bt.main --config=configs/lejepa_cifar10.py

eb_jepa takes the two views one after the other; here they share their batch statistics.
"""

from jax_bt import config


def get_config(arg: str = ""):
    c = config.cifar10("lejepa")
    c.epochs = 300.0
    c.data.recipe = "cifar_vicreg"  # eb_jepa has one recipe for VICReg and SIGReg
    c.encoder.stem = "cifar_pad2"
    c.heads.projector = (2048, 2048, 128)
    c.loss.convention = "eb_jepa"  # its weight of SIGReg is 10
    c.optimizer.learning_rate = 0.3
    c.optimizer.weight_decay = 1e-4
    return config.sized(c, arg)
