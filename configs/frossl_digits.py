"""FroSSL on handwritten digits: minutes on a laptop, no download.

python -m jax_bt.main --config=configs/frossl_digits.py
"""

from jax_bt import config


def get_config(arg: str = ""):
    c = config.digits(method="frossl")
    c.heads.projector = (256, 256, 128)
    return config.sized(c, arg)
