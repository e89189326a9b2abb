"""Every field of a run's config: its default, its range and its meaning; bases for ``configs/``."""

import difflib
import runpy
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from ml_collections import ConfigDict, FieldReference
from ml_collections.config_dict import placeholder

from jax_bt import methods, models, optim
from jax_bt.errors import UsageError
from jax_bt.flag_errors import CONFIGS, unknown_field
from jax_bt.methods._options import Option, check_range, interval_words, options_of

COUNT = "[1, 2147483647]"
COUNT_OR_ZERO = "[0, 2147483647]"
POSITIVE = "(0, inf)"
NOT_NEGATIVE = "[0, inf)"
SHARE = "[0, 1]"
DTYPES = ("float32", "bfloat16", "float16", "float64")


class Field(NamedTuple):
    """One field of the config.

    Attributes:
      name: dotted.
      default: its value; a type stands for None, which a value of that type may replace.
      allowed: an interval such as "[0, 1)", a tuple of choices, or None for anything.
      meaning: for people.
    """

    name: str
    default: Any
    allowed: str | tuple[str, ...] | None
    meaning: str


ENCODER = (
    Field(
        "encoder.name",
        "resnet50",
        None,
        "one of jax_bt.models.ENCODERS: " + ", ".join(models.ENCODERS),
    ),
    Field("encoder.width", int, "[1, 64]", "resnets: factor on the width of every layer; None: 1"),
    Field(
        "encoder.stem",
        str,
        ("imagenet", "cifar", "cifar_pad2"),
        'resnets: "imagenet" (or None): 7x7 stride 2 and max-pool; "cifar": 3x3 stride 1',
    ),
    Field("encoder.patch_size", int, "[1, 1024]", "vits: side of a patch; None: the name's"),
    Field(
        "encoder.pool",
        str,
        models.vit.POOLS,
        'vits: the class "token" (or None), the norm of the patches\' "mean", or "normed_mean"',
    ),
    Field("encoder.class_token", bool, None, "vits: None: True"),
    Field(
        "encoder.drop_path",
        float,
        "[0, 1)",
        "vits, convnexts: rate at which the last block is left out; None: 0",
    ),
    Field("encoder.norm_first", bool, None, "convnexts: norm before the mean; None: False"),
    Field("encoder.layer_scale", float, "[0, 10]", "convnexts: None: 1e-6; 0: no scale"),
    Field(
        "encoder.dtype",
        "float32",
        DTYPES,
        "of the computation; parameters, statistics and loss are float32",
    ),
    Field(
        "encoder.norm_group",
        int,
        COUNT,
        "resnets: number of devices that share batch statistics; None: all",
    ),
    Field(
        "encoder.remat",
        False,
        None,
        "recompute each block in the backward pass: less memory, more time",
    ),
    Field(
        "encoder.zero_init_residual",
        bool,
        None,
        "resnets: start each residual block as the identity; None: True",
    ),
    Field("encoder.features", int, COUNT, "gru_text: width of its state; resnets: of the stem"),
    Field("encoder.embedding", int, COUNT, "gru_text: width of a word's vector; None: 300"),
    Field("encoder.layers", int, "[1, 64]", "gru_text: number of layers; None: 1"),
    Field("encoder.unit_norm", bool, None, "gru_text: divide its state by its length; None: False"),
)


def _of_second_branch(field: Field) -> Field:
    """The field of the second branch's encoder for one of the first's; None where unset."""
    kind = field.default if isinstance(field.default, type) else type(field.default)
    name = field.name.replace("encoder.", "encoder_b.")
    return Field(name, kind, field.allowed, f"of the second branch, as {field.name}")


FIELDS = (
    Field("method", "barlow_twins", None, "a file of jax_bt/methods"),
    Field("seed", 0, "[0, 18446744073709551615]", "data order, views and initialisation follow it"),
    Field("batch_size", 256, COUNT, "examples per step, over all devices and processes"),
    Field("epochs", 100.0, POSITIVE, "passes over the training split"),
    Field("steps", int, COUNT, "number of updates, in place of epochs"),
    Field(
        "micro_batches",
        1,
        COUNT,
        "number of sequential parts in which the encoder processes the batch; saves memory; the "
        "loss and its gradient stay those of the whole batch",
    ),
    Field(
        "small_batches",
        1,
        COUNT,
        "number of small batches per update, each with its own batch norm and loss; their "
        "gradients are averaged: not the loss of the whole batch, as with micro_batches",
    ),
    Field("gradient_scale", 1.0, POSITIVE, "1/W reproduces the reference's gradients on W GPUs"),
    Field(
        "skip_nonfinite",
        int,
        COUNT_OR_ZERO,
        "skip at most this many non-finite updates; None: stop at the first",
    ),
    Field("data.name", "digits", None, '"digits", a TFDS name, a folder of images or a .npz file'),
    Field("data.data_dir", str, None, "where TFDS data sets are prepared"),
    Field("data.download", False, None, "let TFDS download and prepare a missing data set"),
    Field("data.train", "train", None, 'split to train on, or a slice such as "train[:10%]"'),
    Field("data.test", "test", None, "split to evaluate on"),
    Field("data.image_size", 224, "[1, 8192]", "side of the square views, pixels"),
    Field("data.recipe", "barlow", None, "a recipe of jax_bt/augment/recipes.py"),
    Field(
        "data.built",
        (),
        None,
        'views built from parts instead, one dict per view: ({"base": "barlow", "blur": None}, '
        '{"modality": "tokens"}, ...) as augment.view_from takes them',
    ),
    Field(
        "data.device_augment",
        False,
        None,
        "the host decodes and crops only; the compiled step does the rest",
    ),
    Field("data.views", int, "[2, 64]", "number of views, taken from the recipe's in turn"),
    *ENCODER,
    Field(
        "branches",
        "shared",
        ("shared", "separate"),
        '"separate": the second view has an encoder and heads of its own; what encoder_b leaves '
        "open is as in encoder, but of another encoder (encoder_b.name) only the dtype is",
    ),
    *(_of_second_branch(field) for field in ENCODER),
    Field("init.weights", str, None, "file of weights, or a run's folder, to start from"),
    Field("init.parts", ("encoder",), None, 'what starts from it: "encoder", "projector"'),
    Field("optimizer.name", "lars", tuple(optim.OPTIMIZERS), "a function of jax_bt/optim"),
    Field("optimizer.learning_rate", 0.2, NOT_NEGATIVE, "peak, times batch_size / 256"),
    Field(
        "optimizer.bias_learning_rate",
        float,
        NOT_NEGATIVE,
        "peak of biases and norms, times batch_size / 256; None: learning_rate",
    ),
    Field(
        "optimizer.weight_decay",
        1e-6,
        "[0, 10]",
        "of the parameters, per update",
    ),
    Field("optimizer.momentum", float, "[0, 1)", "None: the optimiser's own; not of adam, adamw"),
    Field("optimizer.nesterov", bool, None, "not of adam, adamw"),
    Field("optimizer.trust_coefficient", float, "(0, 1]", "of the four LARS only"),
    Field("optimizer.clip", bool, None, "larc only: no adapted rate above the rate itself"),
    Field("optimizer.adapt_biases", bool, None, "larc only: False leaves out biases and norms"),
    Field("optimizer.b1", float, "[0, 1)", "adam and adamw: decay of the first moment"),
    Field("optimizer.b2", float, "[0, 1)", "adam and adamw: decay of the second moment"),
    Field("optimizer.eps", float, POSITIVE, "adam and adamw: added to the root of the second"),
    Field(
        "optimizer.rules",
        (),
        None,
        'settings by parameter path, ahead of the optimiser\'s own: (("predictor/", {"rate": '
        '"constant"}), ...); docs/optim.md',
    ),
    Field("optimizer.warmup_epochs", 10.0, NOT_NEGATIVE, "linear, up to the peak"),
    Field("optimizer.warmup_fraction", 0.0, SHARE, "share of the peak at which the warm-up starts"),
    Field("optimizer.final_fraction", 0.001, SHARE, "share of the peak at which the cosine ends"),
    Field(
        "optimizer.drops",
        (),
        POSITIVE,
        "epochs before the end at which the rate falls to a fifth, in place of the cosine",
    ),
    Field("optimizer.per_epoch", False, None, "change the rate once per epoch, not every step"),
    Field("checkpoint.every_steps", 1000, COUNT_OR_ZERO, "0: by the clock alone"),
    Field("checkpoint.every_minutes", float, POSITIVE, "save after so long as well"),
    Field("checkpoint.keep", 2, COUNT, "number of newest checkpoints that are kept"),
    Field("checkpoint.keep_every", int, COUNT, "those of steps that are multiples of it stay too"),
    Field("log_every", 10, COUNT, "steps between lines of metrics.jsonl"),
    Field(
        "diagnostics_every",
        100,
        COUNT_OR_ZERO,
        "steps between signals of collapse, at lines of the log; 0: never",
    ),
    Field(
        "evaluate.protocols",
        ("knn", "linear"),
        None,
        'of jax_bt/evaluate: "knn", "linear", "linear_<n>" (n labels per class, five draws)',
    ),
    Field(
        "evaluate.every",
        float,
        POSITIVE,
        "epochs between kNN evaluations of a part of the data while training",
    ),
    Field(
        "evaluate.online",
        True,
        None,
        "train a linear classifier beside the encoder, which does not notice; labelled data only",
    ),
    Field("evaluate.train", str, None, "split whose labels the probes see; None: data.train"),
    Field("evaluate.baselines", False, None, "evaluate raw pixels and the untrained encoder too"),
    Field(
        "evaluate.checkpoints",
        True,
        None,
        "RankMe and kNN of every kept checkpoint at the end, on a part of the data",
    ),
    Field("evaluate.batch_size", 256, "[1, 65536]", "examples per step of the evaluation"),
)


def base(method: str = "barlow_twins") -> ConfigDict:
    """All fields with their defaults, locked: a file can change fields, not invent them.

    Args:
      method: a module of ``jax_bt/methods``; its options are the fields of heads, loss and target.
    """
    c = ConfigDict()
    for field in FIELDS:
        *groups, name = field.name.split(".")
        node = c
        for group in groups:
            if group not in node:
                node[group] = ConfigDict()
            node = node[group]
        is_type = isinstance(field.default, type)
        node[name] = placeholder(field.default) if is_type else field.default
    c.method = method
    module = methods.load(method)
    c.heads = _group(options_of(module.heads))
    c.loss = _group(options_of(module.loss))
    c.target = _group(options_of(*methods.target_functions(module)))
    return c.lock()


def _group(options: dict[str, Option]) -> ConfigDict:
    c = ConfigDict()
    for name, option in options.items():
        if option.default is None:
            c[name] = placeholder(option.kind)
        elif option.kind is object:  # a number or a word, such as lambd="1/d"
            c[name] = FieldReference(option.default, field_type=object)
        else:
            c[name] = option.default
    return c


def check(c: ConfigDict) -> None:
    """Raises UsageError for the first field whose value is outside its range or choices.

    The options of the method (heads, loss, target) are checked where the method is built.
    """
    for field in FIELDS:
        value = c
        for part in field.name.split("."):
            value = value[part]
        if isinstance(field.allowed, str):
            check_range(field.name, value, field.allowed)
        elif field.allowed and value is not None and value not in field.allowed:
            close = difflib.get_close_matches(str(value), field.allowed, 1, cutoff=0.5)
            hint = f"did you mean {close[0]!r}? " if close else ""
            choices = ", ".join(field.allowed)
            raise UsageError(f"{field.name}={value!r}: {hint}choose one of {choices}")


def of_method(method: str) -> ConfigDict:
    """The recipe of a method's paper: ``configs/<method>_r50.py``.

    Raises:
      UsageError: there is no such method.
    """
    methods.load(method)
    path = CONFIGS / f"{method.removesuffix('_twins')}_r50.py"
    return runpy.run_path(str(path))["get_config"]()


def of_record(record: Mapping[str, Any]) -> ConfigDict:
    """The config that a run's folder records; fields that no longer exist are left out."""
    c = base(record["method"])
    for field, value in _flat(record):
        if unknown_field(c, field) is None:
            set_field(c, field, value)
    return c


def _flat(tree: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """(dotted field, value) of nested mappings; lists of mappings are values."""
    for name, value in tree.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def set_field(c: ConfigDict, name: str, value: Any) -> None:
    """Sets a field by its dotted name; None unsets one whose default is None.

    Raises:
      UsageError: there is no such field, or the value has the wrong type.
    """
    if unknown := unknown_field(c, name):
        raise UsageError(unknown)
    node, default = c, base(c.method)
    *groups, last = name.split(".")
    for group in groups:
        node, default = node[group], default[group]
    if value is None and default.get(last) is not None:
        raise UsageError(f"{name}=None: it needs a value, such as {default[last]!r}")
    try:
        node[last] = tuple(value) if isinstance(value, list) else value
    except TypeError:
        kind = node.get_type(last).__name__
        raise UsageError(f"{name}={value!r}: expected {kind}, such as {node[last]!r}") from None


def override(c: ConfigDict, given: Sequence[tuple[str, str]]) -> None:
    """Does what the flag parser cannot: unsets fields, and lets epochs win over a file's steps.

    Args:
      c: the config, in which the parser has set the other fields.
      given: (field, text) of every --config.FIELD=TEXT, in order.

    Raises:
      UsageError: None for a field that needs a value, or both steps and epochs.
    """
    for name, text in given:
        if text == "None":
            set_field(c, name, None)
    named = {name for name, text in given if text != "None"}
    if {"steps", "epochs"} <= named:
        raise UsageError("--config.steps and --config.epochs exclude each other: give one")
    if "epochs" in named:
        c.steps = None


def optimizer_options() -> tuple[str, ...]:
    """Fields of the optimiser group that are its own options: neither rates nor their schedule."""
    own = ("weight_decay", "momentum", "nesterov", "trust_coefficient", "clip", "adapt_biases")
    return (*own, "b1", "b2", "eps")


def table() -> str:
    """The fields as a Markdown table: name, default, range, meaning (docs/config.md)."""
    lines = ["| field | default | values | meaning |", "|---|---|---|---|"]
    for field in FIELDS:
        default = "None" if isinstance(field.default, type) else repr(field.default)
        values = field.default.__name__ if isinstance(field.default, type) else ""
        if isinstance(field.allowed, str):
            values = interval_words(field.allowed)
        elif field.allowed:
            values = ", ".join(field.allowed)
        lines.append(f"| `{field.name}` | `{default}` | {values} | {field.meaning} |")
    return "\n".join(lines) + "\n"


def imagenet_r50(method: str = "barlow_twins") -> ConfigDict:
    """ResNet-50 on ImageNet as the Barlow Twins and VICReg papers train it."""
    c = base(method)
    c.batch_size = 2048
    c.epochs = 1000.0
    c.data.name = "imagenet2012"
    c.data.test = "validation"
    c.encoder.dtype = "bfloat16"
    c.evaluate.protocols = ("knn",)  # the linear probe solves in the memory of one host
    return c


# A ViT's class token and positions, like biases and norms: no decay, no layer-wise ratio.
VIT_RULES = (("cls_token|pos_embed", {"decay": False, "adapt": False}),)


def imagenet_vit_small(method: str = "barlow_twins") -> ConfigDict:
    """ViT-S/16 on ImageNet with the usual AdamW recipe of self-supervised ViTs."""
    c = imagenet_r50(method)
    c.batch_size = 1024
    c.epochs = 300.0
    c.encoder.name = "vit_small_patch16"
    c.encoder.drop_path = 0.1
    c.optimizer.name = "adamw"
    c.optimizer.learning_rate = 5e-4
    c.optimizer.weight_decay = 0.05
    c.optimizer.rules = VIT_RULES
    return c


def cifar10(method: str = "barlow_twins", optimizer: str = "larc") -> ConfigDict:
    """ResNet-18 with the CIFAR stem on 32x32 images, as solo-learn trains it."""
    c = base(method)
    c.epochs = 1000.0
    c.data.name = "cifar10"
    c.data.image_size = 32
    c.data.recipe = "cifar_barlow"
    c.encoder.name = "resnet18"
    c.encoder.stem = "cifar"
    c.encoder.zero_init_residual = False  # as torchvision's by default
    c.optimizer.name = optimizer
    if optimizer == "larc":
        # solo-learn's LARS: a ratio of 0.02 with both norms below, clipped at the rate, for
        # weights only.
        c.optimizer.trust_coefficient = 0.02
        c.optimizer.clip = True
        c.optimizer.adapt_biases = False
    c.optimizer.learning_rate = 0.3
    c.optimizer.weight_decay = 1e-4
    c.optimizer.warmup_fraction = 1e-4  # from 3e-5 to 0.3
    c.optimizer.final_fraction = 0.0
    return c


def digits(method: str = "barlow_twins") -> ConfigDict:
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
    return c


def pairs(method: str = "vicreg") -> ConfigDict:
    """Images beside captions: an encoder and heads for each, and retrieval at the end."""
    c = base(method)
    c.branches = "separate"
    c.encoder_b.name = "gru_text"
    c.optimizer.name = "adam"
    c.optimizer.weight_decay = 0.0
    c.evaluate.protocols = ("retrieval",)
    c.evaluate.checkpoints = False
    return c


def emoji(method: str = "vicreg") -> ConfigDict:
    """Drawings of emoji beside their names and keywords, for two CPU cores and a few minutes.

    The data are a .npz file (experiments/vicreg_table3/prepare.py makes it): images of 48 pixels.
    """
    c = pairs(method)
    c.steps, c.batch_size = 200, 128
    c.data.name = "emoji.npz"
    c.data.image_size = 32
    image = {"crop": {"scale": (0.6, 1.0)}, "eval_fraction": 1.0}
    c.data.built = (image, {"modality": "tokens", "length": 16, "least_count": 2})
    c.encoder.name = "resnet_small"
    c.encoder.stem = "imagenet"
    c.encoder_b.features = c.encoder_b.embedding = 128
    c.optimizer.learning_rate = 2e-3  # 1e-3 at a batch of 128
    c.optimizer.warmup_epochs = 3.0
    c.checkpoint.every_steps = 100
    c.evaluate.baselines = True
    return c


def coco(method: str = "vicreg") -> ConfigDict:
    """ResNet-152 and a GRU on MS-COCO's captions, as VSE++ has them (VICReg, table 3).

    TFDS's splits are Karpathy's. VSE++ starts from supervised weights (init.weights).
    """
    c = pairs(method)
    c.batch_size, c.epochs = 128, 30.0
    c.data.name = "coco_captions"
    c.data.train, c.data.test = "train+restval", "test"
    image = {"crop": {"method": "bilinear"}, "flip": {}}
    text = {"modality": "tokens", "length": 60, "least_count": 4, "evaluated": 5}
    c.data.built = (image, text)
    c.encoder.name = "resnet152"
    c.encoder_b.features, c.encoder_b.embedding = 1024, 300
    c.optimizer.learning_rate = 4e-4  # 2e-4 at a batch of 128
    c.optimizer.warmup_epochs = 0.0
    c.evaluate.batch_size = 128
    return c


def esc50(method: str = "vicreg") -> ConfigDict:
    """Spectrograms beside waveforms, two ResNets on ESC-50 (VICReg, appendix D.2).

    AdamW at 5e-4, 100 epochs and the widths of the features, 512 and 384, are the paper's; batch,
    weight decay, expander, spectrogram and views are not published, and ours.
    """
    c = base(method)
    c.batch_size = 128
    c.data.name = "ESC-50-master"
    c.data.train, c.data.test = "fold1+fold2+fold3+fold4", "fold5"
    c.data.image_size = 64
    c.data.built = (
        {
            # Most of the 64 bands and a part of the 431 frames.
            "crop": {"scale": (0.5, 1.0), "ratio": (4.0, 7.0)},
            "mean": (0.0, 0.0, 0.0),
            "std": (1.0, 1.0, 1.0),
            "eval_squash": True,
        },
        {"modality": "waveform", "length": 65_536},
    )
    c.branches = "separate"
    c.encoder.name, c.encoder_b.name = "resnet18", "wave_resnet18"
    c.heads.projector = (2048, 2048, 2048)
    c.optimizer.name = "adamw"
    c.optimizer.learning_rate = 1e-3  # 5e-4 at a batch of 128
    c.optimizer.weight_decay = 1e-4
    c.checkpoint.every_steps = 200
    c.evaluate.protocols = ("knn_20", "linear")
    c.evaluate.baselines = True
    return c


def esc10(method: str = "vicreg") -> ConfigDict:
    """Spectrograms beside their frames as a sequence, ESC-10: 400 sounds, minutes on two CPU cores.

    The data are a .npz file (experiments/vicreg_table6/prepare.py makes it), with a split per fold.
    Both encoders are small, the second in one dimension over time with the bands as channels.
    """
    c = esc50(method)
    c.steps, c.batch_size = 300, 80
    c.data.name = "esc10.npz"
    c.data.train = "fold1+fold2+fold3+fold4+fold5"
    c.data.built = (
        {
            **c.data.built[0],
            # Most of the 64 bands and about 128 of the 217 frames.
            "crop": {"scale": (0.5, 0.7), "ratio": (2.0, 2.4)},
            # 6 decibels of 80, and noise.
            "jitter": {
                "brightness": 0.075,
                "contrast": 0.0,
                "saturation": 0.0,
                "hue": 0.0,
                "p": 1.0,
                "additive": True,
            },
            "noise": {"std": (0.0, 0.05)},
        },
        {"modality": "frames", "length": 128},
    )
    c.encoder.name, c.encoder_b.name = "resnet_small", "resnet_small"
    c.encoder.stem = "imagenet"
    c.heads.projector = (256, 256, 256)
    c.optimizer.warmup_epochs = 5.0
    c.evaluate.protocols = ("linear_folds",)
    c.evaluate.checkpoints = False
    return c


def sized(c: ConfigDict, arg: str) -> ConfigDict:
    """The config as it is for "", at toy size for "smoke"; other words are refused."""
    if arg not in ("", "smoke"):
        raise UsageError(f"config argument {arg!r}: write nothing or :smoke behind the file's name")
    return smoke(c) if arg else c


def smoke(c: ConfigDict) -> ConfigDict:
    """The same code for a few steps at toy size, on a tiny data set that goes through TFDS."""
    c.steps = 4
    c.batch_size = 16
    if c.data.name != "digits":
        c.data.name, c.data.test = "jax_bt_smoke", "test"
        thirds = "train[:33%]+train[33%:66%]+train[66%:]"
        c.data.train = thirds if "+" in c.data.train else "train"
        c.data.image_size = 32
    toys = {"vit": "vit_toy_patch4", "convnext": "convnext_toy"}
    c.encoder.name = toys.get(c.encoder.name.partition("_")[0], "resnet_toy")
    c.encoder.width = c.encoder.patch_size = None
    if "resnet" in (c.encoder_b.name or ""):
        c.encoder_b.name = "resnet_toy"
    c.data.built = tuple(map(_toy_view, c.data.built))
    for field in ("features", "embedding"):
        if c.encoder_b[field]:
            c.encoder_b[field] = 8
    for options in (c.heads, c.target):
        for name, widths in options.items():
            if isinstance(widths, tuple):
                options[name] = tuple(min(w, 8) if isinstance(w, int) else w for w in widths)
    for options, name, size in (
        (c.heads, "prototypes", 8),
        (c.loss, "whitening_size", 16),
        (c.loss, "freeze_steps", 1),
        (c.loss, "dimensions", 8),
        (c.target, "queue_size", 32),
        (c.target, "words", 32),
    ):
        if isinstance(options.get(name), int) and options[name]:
            options[name] = size
    c.optimizer.warmup_epochs, c.optimizer.drops = 0.0, ()
    c.log_every = 1
    c.diagnostics_every = 2
    c.checkpoint.every_steps = 2
    return c


def _toy_view(view: Mapping[str, Any]) -> Mapping[str, Any]:
    if view.get("modality") == "frames":  # the tiny data set has sounds, but no spectrograms
        return {"modality": "waveform", "length": 512}
    return {**view, "length": min(view["length"], 512)} if "length" in view else view
