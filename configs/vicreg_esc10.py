"""VICReg on ESC-10: spectrograms beside their frames as a sequence, minutes on a laptop.

python experiments/vicreg_table6/prepare.py --from=DATA --data_dir=DIR
python -m jax_bt.main --config=configs/vicreg_esc10.py --config.data.data_dir=DIR
"""

from jax_bt import config


def get_config(arg: str = ""):
    c = config.esc10("vicreg")
    return config.sized(c, arg)
