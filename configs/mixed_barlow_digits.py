"""Mixed Barlow Twins on handwritten digits: minutes on a laptop, no download.

python -m jax_bt.main --config=configs/mixed_barlow_digits.py
"""

from jax_bt import config


def get_config(arg: str = ""):
    c = config.digits(method="mixed_barlow_twins")
    c.heads.projector = (256, 256, 256)
    return config.sized(c, arg)
