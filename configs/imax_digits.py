"""IMAX on handwritten digits: minutes on a laptop, no download.

python -m jax_bt.main --config=configs/imax_digits.py
"""

from jax_bt import config


def get_config(arg: str = ""):
    c = config.digits(method="imax")
    c.heads.projector = (128, 128, 64)
    return config.sized(c, arg)
