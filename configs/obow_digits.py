"""OBoW on handwritten digits: minutes on a laptop, no download.

python -m jax_bt.main --config=configs/obow_digits.py
"""

from jax_bt import config


def get_config(arg: str = ""):
    c = config.digits(method="obow")
    whole = {"base": "digits", "affine": None, "jitter": None, "noise": None}
    c.data.built = (whole, {"base": "digits"}, {"base": "digits"})
    c.heads.levels = ("layer1", "layer2")  # layer3: 2 x 2 places, too few
    c.target.words = 1024
    c.target.momentum = 0.9  # 200 steps: a slower teacher would hardly leave its start
    c.loss.border = 0
    c.loss.kappa = 5.0  # as for ResNet-18
    c.loss.inverse_delta = 40.0  # at ResNet-18's 10 a bag holds some 250 words, much the same ones
    return config.sized(c, arg)
