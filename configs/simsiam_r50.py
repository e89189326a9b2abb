"""SimSiam, ResNet-50 on ImageNet: the paper's recipe (68.1 % linear top-1 after 100 epochs).

python -m jax_bt.main --config=configs/simsiam_r50.py
"""

from jax_bt import config


def get_config(arg: str = ""):
    c = config.imagenet_r50("simsiam")
    c.batch_size = 512
    c.epochs = 100.0
    c.data.recipe = "simsiam"
    c.heads.projector = (2048, 2048, 2048)
    c.heads.predictor = (512, 2048)
    c.optimizer.name = "sgd"
    c.optimizer.learning_rate = 0.05
    c.optimizer.weight_decay = 1e-4  # of everything, norms included
    c.optimizer.warmup_epochs = 0.0
    c.optimizer.final_fraction = 0.0
    c.optimizer.per_epoch = True
    c.optimizer.rules = (("^predictor/", {"rate": "constant"}),)
    return config.sized(c, arg)
