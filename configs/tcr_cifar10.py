"""TCR (EMP-SSL), ResNet-18 on CIFAR-10 (84.2 % after 1 epoch, 93.4 % after 30).

python -m jax_bt.main --config=configs/tcr_cifar10.py

Those numbers are of a linear probe on a bag of features of 128 patches, which is not done here.
"""

from jax_bt import config


def get_config(arg: str = ""):
    c = config.cifar10("tcr")
    c.batch_size = 100
    c.epochs = 30.0
    patch = {"base": "cifar_vicreg", "crop": {"scale": (0.25, 0.25), "ratio": (1.0, 1.0)}}
    patch |= {"jitter": {"saturation": 0.4, "hue": 0.2}, "blur": {"p": 0.1}}
    c.data.built = (patch,)
    c.data.views = 20
    c.heads.projector = (4096, 4096, 1024)
    c.optimizer.learning_rate = 0.768  # 0.3 at batch 100
    c.optimizer.weight_decay = 1e-4
    c.optimizer.trust_coefficient = 0.005
    c.optimizer.nesterov = True
    c.optimizer.warmup_epochs = 0.0
    return config.sized(c, arg)
