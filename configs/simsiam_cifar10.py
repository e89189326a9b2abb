"""SimSiam, ResNet-18 on CIFAR-10 (solo-learn: 90.51 % online probe after 1000 epochs).

python -m jax_bt.main --config=configs/simsiam_cifar10.py
"""

from jax_bt import config


def get_config(arg: str = ""):
    c = config.cifar10("simsiam", optimizer="sgd")
    c.data.recipe = "cifar_simsiam"
    c.heads.projector = (2048, 2048, 2048)
    c.heads.predictor = (512, 2048)
    c.optimizer.learning_rate = 0.5
    c.optimizer.weight_decay = 1e-5
    c.optimizer.rules = (("^predictor/", {"rate": "constant"}),)
    return config.sized(c, arg)
