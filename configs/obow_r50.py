"""OBoW, ResNet-50 on ImageNet: the paper's recipe (73.8 % linear top-1 after 200 epochs).

python -m jax_bt.main --config=configs/obow_r50.py
"""

from jax_bt import config


def get_config(arg: str = ""):
    c = config.imagenet_r50("obow")
    c.batch_size = 256
    c.epochs = 200.0
    # The teacher's view, two crops, and five patches. The paper's patches are cut from ONE crop of
    # 0.6 to 1 of the image, five of its nine; these have their size and share, each by itself.
    sizes = (96, 32, 16) if arg else (224, 160, 96)
    whole = {"base": "eval", "size": sizes[0], "flip": {}}
    crop = {"base": "moco_v2", "size": sizes[1], "crop": {"scale": (0.08, 0.6)}}
    patch = crop | {"size": sizes[2], "crop": {"scale": (0.084, 0.141)}, "blur": None}
    c.data.built = (whole, *[crop] * 2, *[patch] * 5)
    c.encoder.zero_init_residual = False
    c.heads.levels = ("layer1", "layer2") if arg else ("layer3", "layer4")
    c.target.words = 8192
    c.target.momentum = 0.99  # rises to 1
    c.loss.kappa, c.loss.inverse_delta = 8.0, 15.0
    c.optimizer.name = "sgd"
    c.optimizer.learning_rate = 0.03
    c.optimizer.weight_decay = 1e-4
    return config.sized(c, arg)
