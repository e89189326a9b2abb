"""W-MSE, ResNet-18 on CIFAR-10 (solo-learn: 88.67 %, its authors: 91.55 % after 1000 epochs).

python -m jax_bt.main --config=configs/w_mse_cifar10.py
"""

from jax_bt import config


def get_config(arg: str = ""):
    c = config.cifar10("w_mse", optimizer="adam")  # with the decay in the gradient
    c.batch_size = 512
    c.data.recipe = "cifar_w_mse"
    c.heads.projector = (1024, 64)
    c.loss.whitening_size = 128
    c.optimizer.learning_rate = 1.5e-3  # 3e-3 at batch 512
    c.optimizer.weight_decay = 1e-6
    c.optimizer.warmup_epochs = 500 / 97  # 500 steps
    c.optimizer.drops, c.optimizer.warmup_fraction = (50.0, 25.0), 0.0
    return config.sized(c, arg)
