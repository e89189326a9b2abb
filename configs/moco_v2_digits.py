"""MoCo v2 on handwritten digits: minutes on a laptop, no download.

python -m jax_bt.main --config=configs/moco_v2_digits.py
"""

from jax_bt import config


def get_config(arg: str = ""):
    c = config.digits(method="moco_v2")
    c.heads.projector = (128, 64)
    c.target.queue_size = 1024  # nearly one epoch
    c.target.momentum = 0.9
    return config.sized(c, arg)
