"""VICRegL, ConvNeXt-S on ImageNet: the paper's recipe (75.9 % linear top-1 after 400 epochs).

With alpha = 0.75: 74.6 %, and 67.5 % mean IoU of a linear segmentation of Pascal VOC for 66.7 %.
For 100 epochs: batch 384 and rate 7.5e-4. Its classifier beside the encoder is
evaluate.online=True.

python -m jax_bt.main --config=configs/vicregl_convnext.py
"""

from jax_bt import config


def get_config(arg: str = ""):
    c = config.imagenet_r50("vicregl")
    c.batch_size = 576
    c.epochs = 400.0
    # Two crops whose maps are 7 x 7 and six whose maps are 3 x 3; Barlow Twins' views in turn.
    crops = [(224, (0.4, 1.0))] * 2 + [(96, (0.08, 0.4))] * 6
    c.data.built = tuple(
        {"base": "barlow", "view": i % 2, "size": size, "crop": {"scale": scale}}
        for i, (size, scale) in enumerate(crops)
    )
    c.encoder.name = "convnext_small"
    c.encoder.norm_first = True
    c.encoder.layer_scale = 0.0
    c.encoder.drop_path = 0.1
    c.heads.projector = (8192, 8192, 8192)
    c.heads.maps_projector = (512, 512, 512)
    c.heads.layer_norm = True
    c.loss.alpha = 0.9
    c.loss.num_matches = (20, 4)
    c.optimizer.name = "adamw"
    c.optimizer.learning_rate = 5e-4  # 1.125e-3 at batch 576
    c.optimizer.weight_decay = 0.05
    return config.sized(c, arg)
