"""The conformance test finds a loss file nobody told it of, and catches what is wrong with it."""

import importlib
import sys

import jax
import numpy as np
import pytest
from helpers import conformance, discovery

from jax_bt import losses

SOURCE = """
from typing import Annotated, Literal, NamedTuple
import jax.numpy as jnp
from jax import Array
from jax_bt import stats

class Distance(NamedTuple):
    loss: Array

def distance(z_a: Array, bank: Annotated[Array, "K D"], *, power: Literal["one", "two"] = "two",
             axis_name: str | None = None) -> Distance:
    center = {center}
    gap = jnp.sum(jnp.square(z_a - center - bank.mean(0)), axis=1)
    gap = gap if power == "two" else jnp.sqrt(gap)
    return Distance({mean})
"""
GLOBAL_CENTER = "stats.mean(z_a, axis_name=axis_name)"
GLOBAL_MEAN = "stats.mean(gap, axis_name=axis_name)"


@pytest.fixture
def add_loss(tmp_path, monkeypatch):
    """Puts a file into the package's path for one test."""

    def add(source: str) -> list[discovery.Case]:
        (tmp_path / "distance.py").write_text(source)
        monkeypatch.setattr(losses, "__path__", [*losses.__path__, str(tmp_path)])
        importlib.invalidate_caches()
        return [case for case in discovery.cases() if case.name.startswith("distance")]

    yield add
    sys.modules.pop("jax_bt.losses.distance", None)
    vars(losses).pop("distance", None)


def test_a_new_file_is_found_with_its_arguments_and_options(add_loss):
    found = add_loss(SOURCE.format(center=GLOBAL_CENTER, mean=GLOBAL_MEAN))
    assert [case.name for case in found] == ["distance", "distance-power=one"]
    assert {name: x.shape for name, x in found[0].inputs().items()} == {
        "z_a": (16, 8),
        "bank": (6, 8),
    }
    assert [found[0].batch_axis(name) for name in ("z_a", "bank")] == [0, None]
    for way in (conformance.outside, conformance.inside):
        conformance.check_sharded(found[0], way, devices=2)


def test_a_local_mean_is_caught(add_loss):
    (case, _) = add_loss(SOURCE.format(center="0", mean="jnp.mean(gap)"))
    # jax 0.11 refuses it too, but fails at the text of its own message ("Too few leaves").
    refusal = "varying|replicated|Too few leaves"
    with jax.enable_x64(True), pytest.raises(ValueError, match=refusal):
        conformance.outside(case, 2)
    with pytest.raises(AssertionError):
        conformance.check_pmap(case, 2)


def test_a_local_statistic_is_caught(add_loss):
    (case, _) = add_loss(SOURCE.format(center="jnp.mean(z_a, axis=0)", mean=GLOBAL_MEAN))
    with pytest.raises(AssertionError):
        conformance.check_sharded(case, conformance.outside, devices=2)


def test_a_dependence_on_order_is_caught(add_loss):
    (case, _) = add_loss(SOURCE.format(center="z_a[0]", mean="stats.all_mean(gap[1], axis_name)"))
    with pytest.raises(AssertionError):
        conformance.check_order(case)


def test_a_nan_gradient_is_caught(add_loss):
    (_, root) = add_loss(SOURCE.format(center="0", mean=GLOBAL_MEAN).replace("- bank.mean(0)", ""))
    with pytest.raises(AssertionError):
        conformance.check_degenerate(root, np.zeros_like)


def test_a_loss_without_return_annotation_is_refused(add_loss):
    source = SOURCE.format(center=GLOBAL_CENTER, mean=GLOBAL_MEAN)
    with pytest.raises(TypeError, match="return annotation"):
        add_loss(source.replace(") -> Distance", ")"))
