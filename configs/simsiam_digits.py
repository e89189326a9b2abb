"""SimSiam on handwritten digits: minutes on a laptop, no download.

python -m jax_bt.main --config=configs/simsiam_digits.py
"""

from jax_bt import config


def get_config(arg: str = ""):
    c = config.digits(method="simsiam")
    c.heads.projector = (256, 256, 256)
    c.heads.predictor = (64, 256)
    return config.sized(c, arg)
