"""SwAV with multi-crop, ResNet-50 on ImageNet: the paper's recipe (75.3 % after 800 epochs).

python -m jax_bt.main --config=configs/swav_r50.py
"""

from jax_bt import config


def get_config(arg: str = ""):
    c = config.imagenet_r50("swav")
    c.batch_size = 4096
    c.epochs = 800.0
    c.data.recipe = "swav"  # two crops of 224 pixels and six of 96
    c.encoder.zero_init_residual = False
    c.heads.projector = (2048, 128)
    c.heads.prototypes = 3000
    c.loss.freeze_steps = 313
    # Batch 256 (74.3 % after 400 epochs): rate 0.6, no warm-up, freeze_steps 5005, and a queue:
    # target.queue_size 3840, target.queue_start 75060 (epoch 15).
    c.optimizer.name = "larc"
    c.optimizer.learning_rate = 0.3  # 4.8 at batch 4096
    c.optimizer.weight_decay = 1e-6
    c.optimizer.warmup_fraction = 1 / 16  # from 0.3 to 4.8
    return config.sized(c, arg)
