"""VSE++'s hinge loss between two views of handwritten digits: minutes on a laptop, no download.

Not of the paper, whose pairs are images and captions (configs/vse_coco.py).

python -m jax_bt.main --config=configs/vse_digits.py
"""

from jax_bt import config


def get_config(arg: str = ""):
    c = config.digits(method="vse")
    c.heads.projector = (256, 64)
    c.optimizer.name = "adam"
    c.optimizer.learning_rate = 1e-3
    c.optimizer.bias_learning_rate = None
    return config.sized(c, arg)
