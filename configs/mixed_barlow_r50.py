"""Mixed Barlow Twins, ResNet-50 on ImageNet: its recipe (72.2 % linear after 300 epochs).

python -m jax_bt.main --config=configs/mixed_barlow_r50.py

Its ImageNet code mixes the second view's own products, its CIFAR code and paper both views': so do
we. It standardises and mixes on each GPU alone; here both are of the global batch.
"""

from jax_bt import config


def get_config(arg: str = ""):
    c = config.imagenet_r50("mixed_barlow_twins")
    c.batch_size = 1024
    c.epochs = 300.0
    c.data.recipe = "barlow"
    c.heads.projector = (8192, 8192, 8192)
    c.loss.lambd = 0.0051
    c.loss.mixup_loss_scale = 0.5  # half of lambda_reg = 1; 71.6 % with 0.1, Barlow Twins 71.3 %
    c.loss.warmup_steps = 12510  # 10 epochs
    c.optimizer.learning_rate = 0.2
    c.optimizer.bias_learning_rate = 0.0048
    c.optimizer.weight_decay = 1e-6
    return config.sized(c, arg)
