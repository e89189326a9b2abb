"""SwAV on handwritten digits: minutes on a laptop, no download.

python -m jax_bt.main --config=configs/swav_digits.py
"""

from jax_bt import config


def get_config(arg: str = ""):
    c = config.digits(method="swav")
    c.heads.projector = (128, 32)
    c.heads.prototypes = 60
    c.loss.freeze_steps = 5  # one epoch
    return config.sized(c, arg)
