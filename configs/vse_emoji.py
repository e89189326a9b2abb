"""VSE++'s loss on emoji: drawings beside their names and keywords, minutes on a laptop.

Over all negatives of the batch (VSE0): from random weights the hardest ones alone draw all
embeddings to one point within 200 steps.

python experiments/vicreg_table3/prepare.py --from=DATA --data_dir=DIR
python -m jax_bt.main --config=configs/vse_emoji.py --config.data.data_dir=DIR
"""

from jax_bt import config


def get_config(arg: str = ""):
    c = config.emoji("vse")
    c.heads.projector = (128,)
    c.loss.hardest = False
    return config.sized(c, arg)
