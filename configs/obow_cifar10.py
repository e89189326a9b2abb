"""OBoW, ResNet-18 on CIFAR-10.

python -m jax_bt.main --config=configs/obow_cifar10.py

Nobody has published it. Rates, kappa and inverse_delta are the authors' for a ResNet-18 on a fifth
of ImageNet, and so is the crops' share of the image.
"""

from jax_bt import config


def get_config(arg: str = ""):
    c = config.cifar10("obow", optimizer="sgd")
    c.epochs = 200.0
    # The teacher's view and two crops: 24 of 32 pixels, nearly 160 of 224.
    crop = {"base": "cifar_simsiam", "size": 24, "crop": {"scale": (0.08, 0.6)}}
    c.data.built = ({"base": "cifar_eval", "flip": {}}, crop, crop)
    c.heads.levels = ("layer1", "layer2") if arg else ("layer3", "layer4")
    c.target.words = 4096
    c.loss.border = 0  # the last maps have 4 x 4 places
    c.loss.kappa, c.loss.inverse_delta = 5.0, 10.0
    c.optimizer.learning_rate = 0.05
    c.optimizer.weight_decay = 5e-4
    c.optimizer.warmup_epochs = 0.0
    return config.sized(c, arg)
