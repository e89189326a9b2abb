"""HSIC Barlow Twins, ResNet-18 on CIFAR-10: the loss, head and views of its code.

python -m jax_bt.main --config=configs/hsic_barlow_cifar10.py

Its code has a ResNet-50 and keeps the rate; ours falls along a cosine, as in the other configs.
"""

from jax_bt import config


def get_config(arg: str = ""):
    c = config.cifar10("barlow_twins", optimizer="adam")  # with the decay in the gradient
    c.batch_size = 128
    c.data.recipe = "cifar_simsiam"
    c.heads.projector = (512, 128)
    c.heads.bias = True
    c.loss.off_diagonal = "neg_one"
    c.loss.lambd = 0.0078125
    c.loss.unit_rows = True
    c.loss.ddof, c.loss.eps = 1, 0.0  # torch's std
    c.optimizer.learning_rate = 2e-3  # 1e-3 at batch 128
    c.optimizer.weight_decay = 1e-6
    return config.sized(c, arg)
