"""TiCo on handwritten digits: minutes on a laptop, no download.

python -m jax_bt.main --config=configs/tico_digits.py
"""

from jax_bt import config


def get_config(arg: str = ""):
    c = config.digits(method="tico")
    c.heads.projector = (256, 64)
    c.target.momentum = 0.9  # 200 steps: a slower target would hardly leave its start
    return config.sized(c, arg)
