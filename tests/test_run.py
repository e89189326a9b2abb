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
