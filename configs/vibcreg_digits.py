"""VIbCReg on handwritten digits: minutes on a laptop, no download.

python -m jax_bt.main --config=configs/vibcreg_digits.py
"""

from jax_bt import config


def get_config(arg: str = ""):
    c = config.digits(method="vicreg")
    c.heads.projector = (256, 256, 256)
    c.heads.activation = "gelu"
    c.heads.iter_norm = 8
    c.loss.correlation, c.loss.halve_variance = True, False
    c.loss.covariance_weight = 200.0
    return config.sized(c, arg)
