"""What a config means."""

import jax
import pytest

from jax_bt import config as configs
from jax_bt import mesh, run
from jax_bt.augment import Blur, Crop, Jitter
from jax_bt.errors import UsageError


def build(c):
    return run.build(c, 1297, mesh.make_mesh(jax.devices()[:1]))


def test_views_can_be_built_from_parts():
    c = configs.digits()
    c.data.built = ({"base": "barlow", "blur": None, "jitter": {"hue": 0.0}}, {"crop": {}})
    first, second = build(c).recipes
    assert first.size == second.size == 8
    assert first.get(Blur) is None and first.get(Jitter).hue == 0.0
    assert [type(part) for part in second.parts] == [Crop]


def test_more_views_take_the_recipes_in_turn():
    c = configs.digits()
    c.data.recipe, c.data.views = "cifar_barlow", 3
    a, b, again = build(c).recipes
    assert a == again != b


@pytest.mark.parametrize(
    "built, answer",
    [(({"cropp": {}},), "no part 'cropp'"), (({"base": "barlow"},), "at least 2 views")],
)
def test_a_recipe_that_does_not_fit_is_answered(built, answer):
    c = configs.digits()
    c.data.built = built
    with pytest.raises(UsageError, match=answer):
        build(c)


def test_rates_scale_with_the_batch_and_warm_up_in_epochs():
    c = configs.base()
    c.batch_size, c.epochs = 512, 10.0
    c.optimizer.warmup_epochs = 2.0
    c.optimizer.bias_learning_rate = 0.0048
    made = build(c)
    assert made.steps_per_epoch == 2 and made.total_steps == 20
    assert float(made.rates["learning_rate"](0)) == 0.0
    assert float(made.rates["learning_rate"](4)) == pytest.approx(0.4)
    assert float(made.rates["bias_learning_rate"](4)) == pytest.approx(0.0096)
    assert float(made.rates["learning_rate"](20)) == pytest.approx(0.4 * 0.001)


def set_field(c, name, value):
    *parts, last = name.split(".")
    for part in parts:
        c = c[part]
    c[last] = value


@pytest.mark.parametrize(
    ("method", "name", "value", "answer"),
    [
        (
            "byol",
            "data.views",
            3,
            "byol compares 2 views and the recipe has 3: use --config.data.v",
        ),
        ("simclr", "data.recipe", "swav", "simclr compares 2 views and the recipe has 8"),
        ("byol", "heads.predictor", (), r"heads.predictor=\(\): byol needs at least one layer"),
        ("swav", "heads.prototypes", 0, "heads.prototypes=0: widths are positive whole numbers"),
        ("byol", "heads.predictor", (8, 4), "t_a has shape .* but p_a has .*: they must be equal"),
        ("simclr", "loss.temperature", 0.0, "temperature=0.0 must be above 0"),
        ("moco_v2", "target.queue_size", 40, "use --config.target.queue_size=32"),
        ("swav", "target.queue_size", 17, "queue_size 17 does not divide over 2 devices"),
        ("w_mse", "loss.whitening_size", 7, "must be above the embedding width D=8"),
    ],
)
def test_what_does_not_fit_together_is_known_before_a_run(method, name, value, answer):
    c = configs.smoke(configs.digits(method=method))
    c.encoder.features = 4
    set_field(c, name, value)
    with pytest.raises(UsageError, match=answer):
        run.traced_step(run.build(c, 1297, mesh.make_mesh(jax.devices()[:2])), c)


def test_a_bug_keeps_its_traceback(monkeypatch):
    """What a library raises is no refusal of a value."""
    c = configs.smoke(configs.digits())
    built = build(c)

    def loss(networks, variables, target, views, *, axis_name):
        return jax.numpy.stack([]), None

    monkeypatch.setattr(built.method, "loss", loss)
    built = built._replace(loss_options={})
    with pytest.raises(ValueError, match="one array to stack") as caught:
        run.traced_step(built, c)
    assert not isinstance(caught.value, UsageError)
