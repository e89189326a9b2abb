"""Lists detectron2 configs of the papers' detection tables, for an exported encoder.

VOC07+12: Faster R-CNN C4 with an extra norm (Barlow Twins, VICReg, SwAV, MoCo). COCO: Mask R-CNN C4
(Barlow Twins, 1x) and FPN (VICReg). This project does not train detectors.

Source: facebookresearch/moco detection/configs; Zbontar et al. 2021, appendix; Bardes et al. 2022,
appendix C.4. ``Res5ROIHeadsExtraNorm`` is registered by the train script of moco/detection.
"""

_COMMON = """\
MODEL:
  WEIGHTS: "{weights}"
  PIXEL_MEAN: [123.675, 116.280, 103.530]
  PIXEL_STD: [58.395, 57.120, 57.375]
"""

VOC = (
    '_BASE_: "Base-RCNN-C4-BN.yaml"\n'
    + _COMMON
    + """\
  MASK_ON: False
  RPN:
    PRE_NMS_TOPK_TEST: 6000
    POST_NMS_TOPK_TEST: 1000
  ROI_HEADS:
    NAME: "Res5ROIHeadsExtraNorm"
    NUM_CLASSES: 20
  BACKBONE:
    FREEZE_AT: 0
  RESNETS:
    DEPTH: 50
    NORM: "SyncBN"
    STRIDE_IN_1X1: False
INPUT:
  FORMAT: "RGB"
  MIN_SIZE_TRAIN: (480, 512, 544, 576, 608, 640, 672, 704, 736, 768, 800)
  MIN_SIZE_TEST: 800
DATASETS:
  TRAIN: ("voc_2007_trainval", "voc_2012_trainval")
  TEST: ("voc_2007_test",)
SOLVER:
  IMS_PER_BATCH: 16
  STEPS: (18000, 22000)
  MAX_ITER: 24000
  BASE_LR: 0.1
  WARMUP_ITERS: 1000
  WARMUP_FACTOR: 0.333
TEST:
  PRECISE_BN:
    ENABLED: True
"""
)

_COCO = """\
INPUT:
  FORMAT: "RGB"
  MIN_SIZE_TRAIN: (640, 672, 704, 736, 768, 800)
  MIN_SIZE_TEST: 800
DATASETS:
  TRAIN: ("coco_2017_train",)
  TEST: ("coco_2017_val",)
SOLVER:
  IMS_PER_BATCH: 16
  STEPS: (60000, 80000)
  MAX_ITER: 90000
"""

COCO_C4 = (
    '_BASE_: "Base-RCNN-C4-BN.yaml"\n'
    + _COMMON
    + """\
  MASK_ON: True
  BACKBONE:
    FREEZE_AT: 0
  RESNETS:
    DEPTH: 50
    NORM: "SyncBN"
    STRIDE_IN_1X1: False
"""
    + _COCO
    + """\
  BASE_LR: 0.03
TEST:
  PRECISE_BN:
    ENABLED: True
"""
)

COCO_FPN = (
    '_BASE_: "Base-RCNN-FPN.yaml"\n'
    + _COMMON
    + """\
  MASK_ON: True
  BACKBONE:
    FREEZE_AT: 0
  RESNETS:
    DEPTH: 50
    NORM: "SyncBN"
    STRIDE_IN_1X1: False
    OUT_FEATURES: ["res2", "res3", "res4", "res5"]
  FPN:
    NORM: "SyncBN"
"""
    + _COCO
    + """\
  BASE_LR: 0.04
  WARMUP_ITERS: 50
TEST:
  PRECISE_BN:
    ENABLED: True
"""
)

CONFIGS = {"voc_c4": VOC, "coco_c4": COCO_C4, "coco_fpn": COCO_FPN}


def configs(weights: str) -> dict[str, str]:
    """The three configs as YAML, by name.

    Args:
      weights: path of the exported pickle, as detectron2 will be told.
    """
    return {name: text.replace("{weights}", weights) for name, text in CONFIGS.items()}
