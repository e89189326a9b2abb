"""Every field of a run's config with its meaning; the files in ``configs/`` start from here."""

import inspect
import typing
from collections.abc import Callable

from ml_collections import ConfigDict
from ml_collections.config_dict import placeholder

from jax_bt import methods


def base(method: str = "barlow_twins") -> ConfigDict:
    """All fields with their defaults. Rates are per 256 examples of the global batch.

    Args:
      method: a module of ``jax_bt/methods``; its options are the fields of heads, loss and target.
    """
    module = methods.load(method)
    c = ConfigDict()
    c.method = method
    c.seed = 0  # data order, augmentation and initialisation derive from it
    c.batch_size = 256  # global, over all devices and processes
    c.epochs = 100.0  # passes over the training split
    c.steps = placeholder(int)  # if set, the number of updates instead of epochs
    c.micro_batches = 1  # the encoder takes the batch in so many parts, to save memory; the loss
    # and its gradient stay the whole batch's
    c.gradient_scale = 1.0  # 1/W reproduces the reference's gradients on W GPUs
    c.skip_nonfinite = placeholder(int)  # if set, up to so many updates that are not finite are
    # left out; else the first ends the run

    c.data = ConfigDict()
    c.data.name = "digits"  # "digits", a TFDS name, a folder of images, or a .npz file
    c.data.data_dir = placeholder(str)  # where TFDS data sets are prepared
    c.data.download = False  # let TFDS download and prepare the data set if it is missing
    c.data.train = "train"  # split, or slice such as "train[:10%]"
    c.data.test = "test"  # split to evaluate on
    c.data.image_size = 224  # side of the square views, pixels
    c.data.recipe = "barlow"  # a recipe of jax_bt/augment/recipes.py
    # Views built from parts instead, one dict each: ({"base": "barlow", "blur": None}, ...), as
    # augment.recipe_from takes them.
    c.data.built = ()
    c.data.device_augment = False  # the host only decodes and crops; the rest is in the step
    c.data.views = placeholder(int)  # if set, so many views, of the recipe's in turn

    c.encoder = ConfigDict()
    c.encoder.name = "resnet50"  # resnet18, 34, 50, 101, 152, 200 or resnet_small
    c.encoder.width = 1  # multiplies the width of every layer
    c.encoder.stem = "imagenet"  # "imagenet": 7x7 stride 2 and max-pool; "cifar": 3x3 stride 1
    c.encoder.dtype = "float32"  # of the computation; parameters, statistics, loss are float32
    c.encoder.norm_group = placeholder(int)  # so many devices share batch statistics; None: all
    c.encoder.remat = False  # recompute each stage in the backward pass: less memory, more time
    c.encoder.zero_init_residual = True  # start each residual block as the identity

    c.branches = "shared"  # "separate": the second view has an encoder and heads of its own
    c.encoder_b = ConfigDict()  # what differs in the second branch's encoder; None: nothing
    c.encoder_b.name = placeholder(str)
    c.encoder_b.width = placeholder(int)

    c.heads = _options(module.heads)
    c.loss = _options(*methods.loss_functions(module))
    c.target = _options(module.init_target, module.update_target)

    c.optimizer = ConfigDict()
    c.optimizer.name = "lars"  # of jax_bt/optim.py: lars, lars_inside, larc, sgd, adamw or adam
    c.optimizer.learning_rate = 0.2  # times batch_size / 256
    c.optimizer.bias_learning_rate = placeholder(float)  # of one-dimensional parameters
    c.optimizer.weight_decay = 1e-6
    c.optimizer.momentum = 0.9  # not of adamw and adam
    c.optimizer.trust_coefficient = 0.001  # lars and larc only
    c.optimizer.clip = False  # larc only: no adapted rate above the rate itself
    c.optimizer.adapt_biases = True  # larc only: one-dimensional parameters like all others
    c.optimizer.warmup_epochs = 10.0  # linear from warmup_fraction of the peak
    c.optimizer.warmup_fraction = 0.0
    c.optimizer.final_fraction = 0.001  # the cosine ends at this fraction of the peak
    c.optimizer.drops = ()  # epochs before the end at which the rate falls to a fifth; no cosine
    c.optimizer.per_epoch = False  # change the rate once an epoch, not every step
    c.optimizer.constant = ()  # parts whose rate stays at the peak, such as ("predictor",)

    c.checkpoint = ConfigDict()
    c.checkpoint.every_steps = 1000  # 0: by the clock alone
    c.checkpoint.every_minutes = placeholder(float)  # if set, save after so long as well
    c.checkpoint.keep = 2  # the newest so many are kept
    c.checkpoint.keep_every = placeholder(int)  # those of steps that are multiples of it stay too

    c.log_every = 10  # steps between lines of metrics.jsonl
    c.diagnostics_every = 100  # steps between signals of collapse, at lines of the log; 0: never

    c.evaluate = ConfigDict()
    c.evaluate.protocols = ("knn", "linear")  # also "linear_<n>": n labels a class, five draws
    c.evaluate.baselines = False  # evaluate raw pixels and the untrained encoder as well
    c.evaluate.batch_size = 256
    return c


def imagenet_r50(method: str = "barlow_twins") -> ConfigDict:
    """ResNet-50 on ImageNet as the Barlow Twins and VICReg papers train it."""
    c = base(method)
    c.batch_size = 2048
    c.epochs = 1000.0
    c.data.name = "imagenet2012"
    c.data.test = "validation"
    c.encoder.dtype = "bfloat16"
    return c


def cifar10(method: str = "barlow_twins") -> ConfigDict:
    """ResNet-18 with the CIFAR stem on 32x32 images, as solo-learn trains it."""
    c = base(method)
    c.epochs = 1000.0
    c.data.name = "cifar10"
    c.data.image_size = 32
    c.data.recipe = "cifar_barlow"
    c.encoder.name = "resnet18"
    c.encoder.stem = "cifar"
    c.encoder.zero_init_residual = False  # as torchvision's by default
    # Its LARS: a ratio of 0.02 with both norms below, clipped at the rate, for weights only.
    c.optimizer.name = "larc"
    c.optimizer.trust_coefficient = 0.02
    c.optimizer.clip = True
    c.optimizer.adapt_biases = False
    c.optimizer.learning_rate = 0.3
    c.optimizer.weight_decay = 1e-4
    c.optimizer.warmup_fraction = 1e-4  # from 3e-5 to 0.3
    c.optimizer.final_fraction = 0.0
    return c


def digits(arg: str = "", method: str = "barlow_twins") -> ConfigDict:
    """A small ResNet on scikit-learn's handwritten digits, for two CPU cores and a few minutes."""
    c = base(method)
    c.steps = 200
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
            c.heads[name] = tuple(min(width, 8) for width in widths)
    for options, name, size in (
        (c.heads, "prototypes", 8),
        (c.loss, "whitening_size", 16),
        (c.loss, "freeze_steps", 1),
        (c.target, "queue_size", 32),
    ):
        if options.get(name):
            options[name] = size
    c.optimizer.warmup_epochs = 0.0
    c.log_every = 1
    c.diagnostics_every = 2
    c.checkpoint.every_steps = 2
    return c


def _options(*functions: Callable) -> ConfigDict:
    """The functions' options with their defaults; a None knows what type replaces it."""
    c = ConfigDict()
    for name, option in methods.options_of(*functions).items():
        if option.default is inspect.Parameter.empty:
            raise ValueError(f"{functions[0].__module__}: option {name!r} needs a default")
        default = option.default
        if default is None:
            kinds = (int, float, str, bool, tuple)
            default = placeholder(next(k for k in typing.get_args(option.annotation) if k in kinds))
        c[name] = default
    return c
