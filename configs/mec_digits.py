"""MEC on handwritten digits: minutes on a laptop, no download.

python -m jax_bt.main --config=configs/mec_digits.py
"""

from jax_bt import config


def get_config(arg: str = ""):
    c = config.digits(method="mec")
    c.heads.projector = (256, 256, 256)
    c.heads.predictor = (64, 256)
    c.loss.warmup_steps = 50  # the rate's warm-up
    c.target.momentum = 0.9  # 200 steps: a slower target would hardly leave its start
    return config.sized(c, arg)
