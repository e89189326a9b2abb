"""CorInfoMax on handwritten digits: minutes on a laptop, no download.

python -m jax_bt.main --config=configs/cor_info_max_digits.py
"""

from jax_bt import config


def get_config(arg: str = ""):
    c = config.digits(method="cor_info_max")
    c.heads.projector = (256, 256, 64)
    return config.sized(c, arg)
