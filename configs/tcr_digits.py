"""TCR (EMP-SSL) with four views on handwritten digits: minutes on a laptop, no download.

python -m jax_bt.main --config=configs/tcr_digits.py
"""

from jax_bt import config


def get_config(arg: str = ""):
    c = config.digits(method="tcr")
    c.data.views = 4
    c.heads.projector = (256, 256, 64)
    return config.sized(c, arg)
