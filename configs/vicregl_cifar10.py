"""VICRegL, ResNet-18 on CIFAR-10: VICReg's recipe of solo-learn; no published numbers.

python -m jax_bt.main --config=configs/vicregl_cifar10.py
"""

from jax_bt import config


def get_config(arg: str = ""):
    c = config.cifar10("vicregl")
    c.data.recipe = "cifar_vicreg"
    c.heads.projector = (2048, 2048, 2048)
    c.heads.maps_projector = (512, 512, 512)
    c.loss.num_matches = (4, 4)  # of 4 x 4 positions
    c.optimizer.learning_rate = 0.3
    c.optimizer.weight_decay = 1e-4
    return config.sized(c, arg)
