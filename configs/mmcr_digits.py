"""MMCR with four views on handwritten digits: minutes on a laptop, no download.

python -m jax_bt.main --config=configs/mmcr_digits.py
"""

from jax_bt import config


def get_config(arg: str = ""):
    c = config.digits(method="mmcr")
    c.data.views = 4
    c.heads.projector = (256, 256, 64)
    return config.sized(c, arg)
