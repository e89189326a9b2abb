"""VICRegL on handwritten digits: minutes on a laptop, no download.

python -m jax_bt.main --config=configs/vicregl_digits.py
"""

from jax_bt import config


def get_config(arg: str = ""):
    c = config.digits(method="vicregl")
    c.heads.projector = (256, 256, 256)
    c.heads.maps_projector = (64, 64, 64)
    c.loss.num_matches = (2, 2)  # of the 2 x 2 positions that 8 pixels leave
    return config.sized(c, arg)
