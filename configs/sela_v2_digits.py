"""SeLa v2 on handwritten digits: minutes on a laptop, no download.

python -m jax_bt.main --config=configs/sela_v2_digits.py
"""

from jax_bt import config


def get_config(arg: str = ""):
    c = config.digits(method="sela_v2")
    c.heads.projector = (128, 32)
    c.heads.prototypes = (30, 30, 30)
    return config.sized(c, arg)
