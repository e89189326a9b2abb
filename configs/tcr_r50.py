"""TCR (EMP-SSL), ResNet-50 on ImageNet: no published numbers; its ImageNet-100 recipe.

python -m jax_bt.main --config=configs/tcr_r50.py
"""

from jax_bt import config


def get_config(arg: str = ""):
    c = config.imagenet_r50("tcr")
    c.batch_size = 100
    c.epochs = 30.0
    patch = {"base": "barlow", "crop": {"scale": (0.25, 0.25), "ratio": (1.0, 1.0)}}
    patch |= {"jitter": {"saturation": 0.4, "hue": 0.2}, "blur": {"p": 0.1}, "solarize": {"p": 0.1}}
    c.data.built = (patch,)
    c.data.views = 2 if arg else 20
    c.encoder.zero_init_residual = False
    c.heads.projector = (4096, 4096, 1024)
    c.optimizer.name = "larc"
    c.optimizer.learning_rate = 0.768  # 0.3 at batch 100
    c.optimizer.weight_decay = 1e-4
    c.optimizer.trust_coefficient, c.optimizer.clip = 0.005, True
    c.optimizer.adapt_biases, c.optimizer.nesterov = False, True
    c.optimizer.warmup_epochs, c.optimizer.final_fraction = 0.0, 0.0
    return config.sized(c, arg)
