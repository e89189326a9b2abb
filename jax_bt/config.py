"""Every field of a run's config with its meaning; the files in ``configs/`` start from here."""

from ml_collections import ConfigDict
from ml_collections.config_dict import placeholder


def base() -> ConfigDict:
    """All fields with their defaults. Rates are per 256 examples of the global batch."""
    c = ConfigDict()
    c.method = "barlow_twins"  # a module of jax_bt/methods
    c.seed = 0  # data order, augmentation and initialisation derive from it
    c.batch_size = 256  # global, over all devices and processes
    c.epochs = 100.0  # passes over the training split
    c.steps = placeholder(int)  # if set, the number of updates instead of epochs
    c.gradient_scale = 1.0  # 1/W reproduces the reference's gradients on W GPUs

    c.data = ConfigDict()
    c.data.name = "digits"  # "digits", a TFDS name, a folder of images, or a .npz file
    c.data.data_dir = placeholder(str)  # where TFDS data sets are prepared
    c.data.train = "train"  # split, or slice such as "train[:10%]"
    c.data.test = "test"  # split to evaluate on
    c.data.image_size = 224  # side of the square views, pixels
    c.data.recipe = "barlow"  # a recipe of jax_bt/augment/recipes.py
    c.data.views = placeholder(int)  # if set, so many views, of the recipe's in turn

    c.encoder = ConfigDict()
    c.encoder.name = "resnet50"  # resnet18, 34, 50, 101, 152, 200 or resnet_small
    c.encoder.width = 1  # multiplies the width of every layer
    c.encoder.stem = "imagenet"  # "imagenet": 7x7 stride 2 and max-pool; "cifar": 3x3 stride 1
    c.encoder.dtype = "float32"  # of the computation; parameters, statistics, loss are float32
    c.encoder.remat = False  # recompute each stage in the backward pass: less memory, more time
    c.encoder.zero_init_residual = True  # start each residual block as the identity

    c.branches = "shared"  # "separate": the second view has an encoder and heads of its own
    c.encoder_b = ConfigDict()  # what differs in the second branch's encoder; None: nothing
    c.encoder_b.name = placeholder(str)
    c.encoder_b.width = placeholder(int)

    c.heads = ConfigDict()  # keywords of the method's heads()
    c.loss = ConfigDict()  # keywords of the method's loss()
    c.target = ConfigDict()  # keywords of its init_target() and update_target()

    c.optimizer = ConfigDict()
    c.optimizer.name = "lars"  # lars, sgd or adamw
    c.optimizer.learning_rate = 0.2  # times batch_size / 256
    c.optimizer.bias_learning_rate = placeholder(float)  # of one-dimensional parameters
    c.optimizer.weight_decay = 1e-6
    c.optimizer.momentum = 0.9
    c.optimizer.trust_coefficient = 0.001  # LARS only
    c.optimizer.warmup_epochs = 10.0  # linear from 0
    c.optimizer.final_fraction = 0.001  # the cosine ends at this fraction of the peak

    c.checkpoint = ConfigDict()
    c.checkpoint.every_steps = 1000
    c.checkpoint.keep = 2  # the newest so many are kept

    c.log_every = 10  # steps between lines of metrics.jsonl

    c.evaluate = ConfigDict()
    c.evaluate.protocols = ("knn", "linear")  # also "linear_<n>": n labels a class, five draws
    c.evaluate.baselines = False  # evaluate raw pixels and the untrained encoder as well
    c.evaluate.batch_size = 256
    return c


def imagenet_r50() -> ConfigDict:
    """ResNet-50 on ImageNet as the Barlow Twins and VICReg papers train it."""
    c = base()
    c.batch_size = 2048
    c.epochs = 1000.0
    c.data.name = "imagenet2012"
    c.data.test = "validation"
    c.encoder.dtype = "bfloat16"
    return c


def cifar10() -> ConfigDict:
    """ResNet-18 with the CIFAR stem on 32x32 images (solo-learn's setting)."""
    c = base()
    c.epochs = 1000.0
    c.data.name = "cifar10"
    c.data.image_size = 32
    c.data.recipe = "cifar"
    c.encoder.name = "resnet18"
    c.encoder.stem = "cifar"
    return c


def digits(arg: str = "") -> ConfigDict:
    """A small ResNet on scikit-learn's handwritten digits, for two CPU cores and a few minutes."""
    c = base()
    c.steps = 300
    c.data.name = "digits"
    c.data.image_size = 8
    c.data.recipe = "digits"
    c.encoder.name = "resnet_small"
    c.encoder.stem = "cifar"
    c.optimizer.learning_rate = 1.0
    c.optimizer.bias_learning_rate = 0.05
    c.optimizer.weight_decay = 1e-4
    c.optimizer.final_fraction = 0.0
    c.checkpoint.every_steps = 100
    c.evaluate.protocols = ("knn", "linear", "linear_1", "linear_5", "linear_10")
    c.evaluate.baselines = True
    return smoke(c) if arg == "smoke" else c


def smoke(c: ConfigDict) -> ConfigDict:
    """The same code for a few steps at toy size, on a tiny data set that goes through TFDS."""
    c.steps = 4
    c.batch_size = 16
    if c.data.name != "digits":
        c.data.name, c.data.train, c.data.test = "jax_bt_smoke", "train", "test"
        c.data.image_size = 32
    c.encoder.name, c.encoder.width = "resnet_small", 1
    for name, widths in c.heads.items():
        if isinstance(widths, tuple):
            c.heads[name] = tuple(min(width, 64) for width in widths)
    c.optimizer.warmup_epochs = 0.0
    c.log_every = 1
    c.checkpoint.every_steps = 2
    return c
