"""What a config means, and what is refused before a run begins."""

import jax
import numpy as np
import pytest

from jax_bt import config
from jax_bt.augment import Blur, Crop, Jitter
from jax_bt.devices.mesh import make_mesh, replicated, sharded
from jax_bt.errors import UsageError
from jax_bt.train import build, memory


def made(c, devices=1, **found):
    return build.build(c, make_mesh(jax.devices()[:devices]), train_size=1297, **found)


def set_field(c, name, value):
    *groups, last = name.split(".")
    for group in groups:
        c = c[group]
    c[last] = value


def test_views_can_be_built_from_parts():
    c = config.digits()
    c.data.built = ({"base": "barlow", "blur": None, "jitter": {"hue": 0.0}}, {"crop": {}})
    first, second = made(c).data.recipes
    assert first.size == second.size == 8
    assert first.get(Blur) is None and first.get(Jitter).hue == 0.0
    assert [type(part) for part in second.parts] == [Crop]


def test_more_views_take_the_recipes_in_turn():
    c = config.digits()
    c.data.recipe, c.data.views = "cifar_barlow", 3
    a, b, again = made(c).data.recipes
    assert a == again != b


@pytest.mark.parametrize(
    "built, answer",
    [(({"cropp": {}},), "no part 'cropp'"), (({"base": "barlow"},), "at least 2")],
)
def test_a_recipe_that_does_not_fit_is_answered(built, answer):
    c = config.digits()
    c.data.built = built
    with pytest.raises(UsageError, match=answer):
        made(c)


def test_rates_scale_with_the_batch_and_warm_up_in_epochs():
    c = config.base()
    c.batch_size, c.epochs = 512, 10.0
    c.optimizer.warmup_epochs = 2.0
    c.optimizer.bias_learning_rate = 0.0048
    run = made(c)
    assert run.steps_per_epoch == 2 and run.total_steps == 20
    assert float(run.rates["learning_rate"](0)) == 0.0
    assert float(run.rates["learning_rate"](4)) == pytest.approx(0.4)
    assert float(run.rates["bias_learning_rate"](4)) == pytest.approx(0.0096)
    assert float(run.rates["learning_rate"](20)) == pytest.approx(0.4 * 0.001)


def test_a_run_is_frozen_and_knows_no_config():
    run = made(config.digits())
    with pytest.raises(AttributeError):
        run.total_steps = 1
    held = [run, run.data, run.checkpoints, run.evaluation, run.method]
    kinds = {type(value).__name__ for part in held for value in vars(part).values()}
    assert "ConfigDict" not in kinds
    assert run.record["data"]["name"] == "digits" and isinstance(run.record, dict)


OUT_OF_RANGE = [
    (field, value)
    for field, values in {
        "batch_size": (0, -1, 2**40),
        "epochs": (0.0, -1.0, float("nan"), float("inf")),
        "steps": (0, -1, 2**40),
        "micro_batches": (0, -3),
        "seed": (-1, 2**64),
        "gradient_scale": (0.0, -1.0),
        "skip_nonfinite": (-1,),
        "log_every": (0, -1, 2**40),
        "diagnostics_every": (-1, 2**40),
        "data.image_size": (0, 2**40),
        "data.views": (0, 1, 2**40),
        "encoder.width": (0, -1),
        "encoder.norm_group": (0,),
        "optimizer.learning_rate": (-1.0, float("nan"), float("inf")),
        "optimizer.momentum": (1.0, 1.5, -1.0),
        "optimizer.weight_decay": (-1.0, 1e30),
        "optimizer.trust_coefficient": (0.0, -1.0),
        "optimizer.warmup_epochs": (-1.0,),
        "optimizer.warmup_fraction": (-0.1, 1.5),
        "optimizer.final_fraction": (-0.1, 2.0),
        "optimizer.drops": ((-5.0,), (50.0, 0.0)),
        "checkpoint.keep": (0, -1),
        "checkpoint.every_steps": (-1,),
        "checkpoint.every_minutes": (0.0, -1.0),
        "checkpoint.keep_every": (0, -1),
        "evaluate.batch_size": (0, -1, 2**40),
    }.items()
    for value in values
]


@pytest.mark.parametrize(("name", "value"), OUT_OF_RANGE)
def test_a_number_out_of_its_range_is_refused_with_field_and_range(name, value):
    c = config.digits()
    set_field(c, name, value)
    with pytest.raises(UsageError) as caught:
        made(c)
    assert str(caught.value).startswith(f"{name}={value}: give a number ")
    assert "\n" not in str(caught.value)


def test_every_number_has_a_range():
    kinds = (int, float)
    for field in config.FIELDS:
        kind = field.default if isinstance(field.default, type) else type(field.default)
        assert kind not in kinds or isinstance(field.allowed, str), field.name


@pytest.mark.parametrize(
    ("name", "value", "answer"),
    [
        ("encoder.dtype", "fp16", "encoder.dtype='fp16': did you mean 'float16'"),
        ("encoder.dtype", "int8", "choose one of float32, bfloat16, float16, float64"),
        ("encoder.dtype", "float64", "encoder.dtype=float64 needs JAX_ENABLE_X64=1"),
        ("encoder.stem", "cifr", "encoder.stem='cifr': did you mean 'cifar'"),
        ("encoder.name", "resnet51", "encoder 'resnet51' is not one of resnet18"),
        ("encoder_b.width", 2, "encoder_b.width=2: the branches share one encoder"),
        ("loss.precision", "x", "precision='x' is unknown: choose one of default, high, highest"),
        ("optimizer.name", "larss", "optimizer.name='larss': did you mean 'lars'"),
        ("optimizer.clip", True, "lars has no option 'clip'"),
        ("optimizer.rules", (("^predictr/", {"rate": 0.1}),), "matches no parameter"),
        ("optimizer.warmup_epochs", 41.0, "longer than the run of 40 epochs"),
        ("optimizer.drops", (50.0,), r"drops=\(50.0,\): the run has 40 epochs"),
        ("evaluate.protocols", ("knnn",), "no protocol 'knnn': choose from finetune, knn"),
        ("evaluate.protocols", ("linear_0",), "no protocol 'linear_0'"),
        ("evaluate.protocols", (3,), "no protocol 3"),
        ("evaluate.protocols", ("knn", "knn"), "'knn' is there twice"),
        ("batch_size", 1298, "larger than the 1297 examples of digits train"),
        ("method", "barlow", "no method 'barlow': choose one of barlow_twins"),
    ],
)
def test_a_word_that_does_not_fit_is_refused_with_what_would(name, value, answer):
    c = config.digits()
    set_field(c, name, value)
    with pytest.raises(UsageError, match=answer):
        made(c).trace()


def test_retrieval_is_apart_from_the_protocols_on_features():
    c = config.digits()
    c.evaluate.protocols = ("knn", "retrieval", "linear")
    assert made(c).evaluation.protocols == ("knn", "linear")
    assert made(c).evaluation.pairs == ("retrieval",)


IMAGE, TEXT = {"base": "digits"}, {"modality": "tokens", "length": 6}


def of_images_and_texts():
    c = config.smoke(config.digits("vicreg"))
    c.branches, c.encoder_b.name, c.encoder_b.features = "separate", "gru_text", 12
    c.data.built = (IMAGE, TEXT)
    return c


def test_an_encoder_per_branch_with_its_own_options():
    c = of_images_and_texts()
    c.encoder.dtype = "bfloat16"
    networks = made(c, words=9).networks
    image, text = networks.modules["encoder"], networks.modules["encoder_b"]
    assert (text.vocabulary, text.features, text.layers) == (9, 12, 1)
    assert text.dtype == image.dtype == "bfloat16" and image.stem == "cifar"
    assert (networks.inputs, networks.inputs_b) == ((8, 8, 3), (6,))
    assert made(c).networks.modules["encoder_b"].vocabulary == 10_000  # the encoder's own
    c.encoder_b.name, c.data.built = "resnet_toy", (IMAGE, IMAGE)
    c.encoder_b.features, c.encoder_b.stem = None, "imagenet"  # the same encoder, otherwise alike
    other = made(c).networks.modules["encoder_b"]
    assert other == image.clone(stem="imagenet")


def test_views_of_the_device_leave_captions_as_they_are():
    c = of_images_and_texts()
    c.data.device_augment = True
    run = made(c, words=9)
    assert [view.dtype for view in run.abstract()[1]["views"]] == ["uint8", "int32"]
    assert run.trace()[0] == "loss"


@pytest.mark.parametrize(
    ("changes", "answer"),
    [
        ({"branches": "shared", "encoder_b.name": None}, "view 1 is of modality 'tokens', and its"),
        (
            {"data.built": (IMAGE, IMAGE)},
            "view 1 is of modality 'image', and its encoder takes 'to",
        ),
        ({"data.built": (IMAGE, TEXT, TEXT, IMAGE)}, "view 2 is of modality 'tokens'"),
        ({"data.built": (IMAGE, {"modality": "smell"})}, "'smell' is not known; there are: image"),
        (
            {"data.built": (IMAGE, TEXT | {"size": 3})},
            "tokens: there is no field 'size'; there are",
        ),
        ({"data.built": (IMAGE, TEXT | {"length": 0})}, "tokens: length must be at least 1, got 0"),
        ({"encoder_b.stem": "cifar"}, "gru_text: option 'stem' is not one of vocabulary"),
        (
            {"encoder.name": "gru_text", "data.built": (TEXT, TEXT)},
            "the first view is no image: put it first",
        ),
    ],
)
def test_views_that_their_branch_cannot_take_are_refused(changes, answer):
    c = of_images_and_texts()
    if "encoder.name" in changes:
        with c.unlocked():
            c.encoder.remat = c.encoder.stem = None
    for name, value in changes.items():
        set_field(c, name, value)
    if changes.get("branches") == "shared":
        c.encoder_b.features = None
    with pytest.raises(UsageError, match=answer):
        made(c)


@pytest.mark.parametrize(
    ("method", "name", "value", "answer"),
    [
        ("byol", "data.views", 3, "byol compares 2 views and the recipe has 3: use --config.data"),
        ("simclr", "data.recipe", "swav", "simclr compares 2 views and the recipe has 8"),
        ("byol", "heads.predictor", (8, 4), r"predictor=\(8, 4\): its last width must be that of"),
        ("barlow_twins", "heads.projector", (), r"projector=\(\): .* at least one layer"),
        ("barlow_twins", "heads.projector", (8, 0), r"heads.projector=\(8, 0\): give a number of"),
        ("swav", "heads.prototypes", 0, "heads.prototypes=0: give a number of at least 1"),
        ("simclr", "loss.temperature", 0.0, "loss.temperature=0.0: give a number above 0"),
        ("vicreg", "loss.eps", -1.0, "loss.eps=-1.0: give a number above 0"),
        ("vicreg", "loss.eps", float("nan"), "loss.eps=nan"),
        ("vicreg", "loss.gamma", -1.0, "loss.gamma=-1.0"),
        ("vicreg", "loss.variance_weight", -1.0, "loss.variance_weight=-1.0"),
        ("byol", "target.momentum", -1.0, "target.momentum=-1.0: give a number of at least 0"),
        ("w_mse", "loss.iterations", 0, "loss.iterations=0"),
        ("swav", "loss.freeze_steps", -1, "loss.freeze_steps=-1"),
        ("swav", "target.queue_start", -1, "target.queue_start=-1"),
        ("moco_v2", "target.queue_size", -1, "target.queue_size=-1"),
        ("moco_v2", "target.queue_size", 40, "use --config.target.queue_size=32"),
        ("swav", "target.queue_size", 17, "17 does not divide over 2 devices: use --config.target"),
        ("w_mse", "loss.whitening_size", 7, "must be above the embedding width D=8"),
        ("w_mse", "loss.whitening_size", 12, "must divide the global batch of N=16: 16 does"),
    ],
)
def test_what_does_not_fit_together_is_known_before_a_run(method, name, value, answer):
    c = config.smoke(config.digits(method))
    with c.unlocked():
        c.encoder.features = 4
    set_field(c, name, value)
    with pytest.raises(UsageError, match=answer):
        made(c, devices=2).trace()


def test_lambd_may_be_one_over_d():
    c = config.smoke(config.digits())
    c.loss.lambd = "1/d"
    assert made(c).trace()[0] == "loss"


def test_a_bug_in_a_method_keeps_its_traceback(monkeypatch):
    """Unpacking three views of two is a bug of the method, whatever raises it."""
    run = made(config.smoke(config.digits()))

    def loss(networks, variables, target, views, context, **options):
        a, b, c = views
        return a, None

    monkeypatch.setattr(run.method.module, "loss", loss)
    with pytest.raises(ValueError, match="not enough values to unpack") as caught:
        run.trace()
    assert not isinstance(caught.value, UsageError)


def test_a_wrong_shape_in_a_method_keeps_its_traceback(monkeypatch):
    run = made(config.smoke(config.digits()))
    module = run.method.module

    def loss(networks, variables, target, views, context, **options):
        out, _ = networks(variables, views[0])
        from jax_bt import losses

        losses.barlow_twins(out["projector"], out["projector"][:, :3])

    monkeypatch.setattr(module, "loss", loss)
    with pytest.raises(ValueError, match="they must be equal") as caught:
        run.trace()
    assert not isinstance(caught.value, UsageError)


def test_a_state_larger_than_the_memory_is_refused():
    def array(shape, sharding):
        return jax.ShapeDtypeStruct(shape, np.float32, sharding=sharding)

    one, eight = make_mesh(jax.devices()[:1]), make_mesh()
    with pytest.raises(
        UsageError, match=r"takes 4,096 GiB and a device has [\d,]+ GiB: use smaller"
    ):
        memory.check_fits([array((2**20, 2**20), replicated(one))], one)
    memory.check_fits([array((8,), replicated(eight))], eight)
    # An eighth on each device, but for what is whole on all.
    assert memory.size([array((16, 4), sharded(eight)), array((3,), replicated(eight))]) == 44


def test_a_config_file_with_a_misspelt_field_fails_where_it_is_written():
    c = config.base()
    for group, name in ((c, "bacth_size"), (c.optimizer, "nestrov"), (c.data, "recip")):
        with pytest.raises(AttributeError, match="Did you mean"):
            setattr(group, name, 1)


def test_options_of_another_method_are_refused():
    c = config.digits("vicreg")
    c.method = "barlow_twins"
    with pytest.raises(UsageError, match="barlow_twins has no loss option 'covariance_weight'"):
        made(c)


def test_steps_are_counted_from_epochs_unless_given():
    c = config.digits()
    assert made(c).total_steps == 200
    c.steps, c.epochs = None, 0.1
    with pytest.raises(UsageError, match="epochs=0.1: that is no step at 5 steps per epoch"):
        made(c)
    c.epochs, c.optimizer.warmup_epochs = 3.0, 1.0
    assert made(c).total_steps == 15


def test_types_of_options_are_read_off_the_signature():
    from jax_bt.methods._options import options_of

    def function(a, *, n: int = 1, name: str | None = None, both: float | str = 2.0):
        """Options as methods declare them."""

    found = options_of(function)
    assert [(k, v.kind) for k, v in found.items()] == [("n", int), ("name", str), ("both", object)]
    with pytest.raises(TypeError, match="option 'n' needs a default and a type"):
        options_of(lambda *, n: n)
