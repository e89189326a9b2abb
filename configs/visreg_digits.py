"""VISReg on handwritten digits: minutes on a laptop, no download.

python -m jax_bt.main --config=configs/visreg_digits.py
"""

from jax_bt import config


def get_config(arg: str = ""):
    c = config.digits(method="visreg")
    c.heads.projector = (256, 256, 64)
    c.loss.lam = 0.6  # the authors' for small data sets
    c.loss.slices = 512
    return config.sized(c, arg)
