"""VSE0, VSE++'s loss over all negatives, on emoji: drawings beside names, minutes on a laptop.

With the hardest negatives alone, from random weights, the loss of a run of ours stayed near
2 x 128 x 0.2, that of embeddings that are all one point.

python experiments/vicreg_table3/prepare.py --from=DATA --data_dir=DIR
python -m jax_bt.main --config=configs/vse_emoji.py --config.data.data_dir=DIR
"""

from jax_bt import config


def get_config(arg: str = ""):
    c = config.emoji("vse")
    c.heads.projector = (128,)
    c.loss.hardest = False
    return config.sized(c, arg)
