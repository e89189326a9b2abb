"""TiCo, ResNet-50 on ImageNet: lightly's recipe (49.7 % linear after 100 epochs there).

python -m jax_bt.main --config=configs/tico_r50.py

lightly trains the second view's network, through the similarity alone; here, as in the paper, it is
the first view's, through both terms.
"""

from jax_bt import config


def get_config(arg: str = ""):
    c = config.imagenet_r50("tico")
    c.batch_size = 256
    c.epochs = 100.0
    c.data.recipe = "byol"
    c.encoder.zero_init_residual = False
    c.heads.projector = (4096, 256)
    c.loss.rho, c.loss.beta = 8.0, 0.9
    c.target.momentum = 0.99  # rises to 1
    c.optimizer.learning_rate = 0.2
    c.optimizer.weight_decay = 1.5e-6
    return config.sized(c, arg)
