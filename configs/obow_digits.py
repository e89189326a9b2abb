"""OBoW on handwritten digits: minutes on a laptop, no download.

python -m jax_bt.main --config=configs/obow_digits.py
"""

from jax_bt import config


def get_config(arg: str = ""):
    c = config.digits(method="obow")

    whole = {"base": "digits", "affine": None, "jitter": None, "noise": None}
    c.data.built = (whole, {"base": "digits"}, {"base": "digits"})
    c.heads.levels = ("layer1", "layer2")  # 8 pixels leave layer3 2 x 2 places
    c.target.words = 1024
    c.target.momentum = 0.9  # 200 steps: a slower teacher would hardly leave its start
    c.loss.border = 0
    c.loss.kappa, c.loss.inverse_delta = 5.0, 10.0  # as for ResNet-18
    return config.sized(c, arg)
