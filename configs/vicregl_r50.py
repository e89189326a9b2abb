"""VICRegL, ResNet-50 on ImageNet: the paper's recipe (71.2 % linear top-1 after 300 epochs).

With alpha = 0.75: 70.4 %, and 55.9 % mean IoU of a linear segmentation of Pascal VOC for 54.0 %.
Its classifier beside the encoder is evaluate.online=True.

python -m jax_bt.main --config=configs/vicregl_r50.py
"""

from jax_bt import config


def get_config(arg: str = ""):
    c = config.imagenet_r50("vicregl")
    c.epochs = 300.0
    c.data.recipe = "barlow"  # two crops of 224 pixels, whose maps are 7 x 7
    c.heads.projector = (8192, 8192, 8192)
    c.heads.maps_projector = (512, 512, 512)
    c.loss.alpha = 0.9
    c.loss.num_matches = (20, 4)
    c.optimizer.learning_rate = 0.2  # 1.6 at batch 2048, of all parameters; 0.3 for 100 epochs
    c.optimizer.weight_decay = 1e-6
    return config.sized(c, arg)
