"""MoCo v3 on handwritten digits: minutes on a laptop, no download.

python -m jax_bt.main --config=configs/moco_v3_digits.py
"""

from jax_bt import config


def get_config(arg: str = ""):
    c = config.digits(method="moco_v3")
    c.heads.projector = c.heads.predictor = (256, 64)
    c.loss.temperature = 0.2
    c.target.momentum = 0.9
    return config.sized(c, arg)
