"""W-MSE on handwritten digits: minutes on a laptop, no download.

python -m jax_bt.main --config=configs/w_mse_digits.py
"""

from jax_bt import config


def get_config(arg: str = ""):
    c = config.digits(method="w_mse")
    c.heads.projector = (128, 32)
    c.loss.whitening_size = 64
    return config.sized(c, arg)
