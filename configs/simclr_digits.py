"""SimCLR on handwritten digits: minutes on a laptop, no download.

python -m jax_bt.main --config=configs/simclr_digits.py
"""

from jax_bt import config


def get_config(arg: str = ""):
    c = config.digits(method="simclr")
    c.heads.projector = (256, 64)
    c.loss.temperature = 0.2
    return config.sized(c, arg)
