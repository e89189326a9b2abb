"""HSIC Barlow Twins on handwritten digits: minutes on a laptop, no download.

python -m jax_bt.main --config=configs/hsic_barlow_digits.py
"""

from jax_bt import config


def get_config(arg: str = ""):
    c = config.digits(method="barlow_twins")
    c.heads.projector = (256, 256, 256)
    c.loss.off_diagonal = "neg_one"
    c.loss.lambd = 0.0051
    return config.sized(c, arg)
