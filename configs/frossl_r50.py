"""FroSSL, ResNet-50 on ImageNet: its code's recipe for a ResNet-18, which states no number.

python -m jax_bt.main --config=configs/frossl_r50.py
"""

from jax_bt import config


def get_config(arg: str = ""):
    c = config.imagenet_r50("frossl")
    c.batch_size = 512
    c.epochs = 100.0
    c.data.recipe = "vicreg"
    c.encoder.zero_init_residual = False
    c.heads.projector = (2048, 2048, 1024)
    c.loss.invariance_weight = 2.0
    c.optimizer.name = "larc"
    c.optimizer.learning_rate = 0.3
    c.optimizer.weight_decay = 1e-4
    c.optimizer.trust_coefficient, c.optimizer.clip = 0.02, True
    c.optimizer.adapt_biases = False
    c.optimizer.final_fraction = 0.0
    return config.sized(c, arg)
