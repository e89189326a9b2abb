"""VISReg, ResNet-18 on CIFAR-10: no published numbers; its authors' recipe for Imagenette.

python -m jax_bt.main --config=configs/visreg_cifar10.py

The authors train a ViT-S/8 there, with gradients clipped at norm 1, which is not done here.
"""

from jax_bt import config


def get_config(arg: str = ""):
    c = config.cifar10("visreg", optimizer="adamw")
    c.batch_size = 64
    c.epochs = 800.0
    c.data.recipe = "cifar_simclr"  # strong colours
    c.data.views = 4
    c.heads.projector = (2048, 2048, 128)
    c.loss.lam = 0.6
    c.optimizer.learning_rate = 4e-3  # 1e-3 at batch 64
    c.optimizer.weight_decay = 5e-2
    c.optimizer.warmup_epochs, c.optimizer.warmup_fraction = 1.0, 1e-3
    c.optimizer.final_fraction = 1e-3
    return config.sized(c, arg)
