"""DirectCLR on handwritten digits: minutes on a laptop, no download.

python -m jax_bt.main --config=configs/direct_clr_digits.py
"""

from jax_bt import config


def get_config(arg: str = ""):
    c = config.digits(method="direct_clr")
    c.loss.dimensions = 32  # of 128
    return config.sized(c, arg)
