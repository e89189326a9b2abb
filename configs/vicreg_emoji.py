"""VICReg on emoji: drawings beside their names and keywords, minutes on a laptop.

python experiments/vicreg_table3/prepare.py --from=DATA --data_dir=DIR
python -m jax_bt.main --config=configs/vicreg_emoji.py --config.data.data_dir=DIR
"""

from jax_bt import config


def get_config(arg: str = ""):
    c = config.emoji("vicreg")
    c.heads.projector = (256, 256, 256)
    return config.sized(c, arg)
