"""Barlow Twins, ResNet-18 on CIFAR-10 (solo-learn's scale: 92.1 % online probe after 1000 epochs).

python -m jax_bt.main --config=configs/barlow_cifar10.py

--config.data.download=True lets TFDS download it; --config.data.data_dir=... says where it is.
"""

from jax_bt import config


def get_config(arg: str = ""):
    c = config.cifar10()
    c.method = "barlow_twins"
    c.data.recipe = "cifar_barlow"  # the asymmetric pair without blur
    c.heads.projector = (2048, 2048, 2048)
    c.heads.bias = True  # solo-learn's Linear layers have biases
    c.loss.lambd = 0.0051
    # solo-learn: rate 0.3 with a trust ratio of 0.02 clipped at the rate, loss scaled by 0.1.
    c.optimizer.learning_rate = 0.3
    c.optimizer.weight_decay = 1e-4
    c.optimizer.trust_coefficient = 0.02
    c.gradient_scale = 0.1
    return config.sized(c, arg)
