"""docs/adding_a_method.md, word for word: its files are found, agree on devices, and train."""

import dataclasses
import importlib
import inspect
import pathlib
import re
import runpy
import sys
import traceback

import jax
import numpy as np
import pytest
from helpers import conformance, discovery

from jax_bt import data, losses, methods
from jax_bt.devices.mesh import make_mesh, to_global
from jax_bt.errors import Expected, UsageError
from jax_bt.train.build import build
from jax_bt.train.loop import step_input

from . import formulas

DOCUMENT = pathlib.Path(__file__).parents[2] / "docs" / "adding_a_method.md"
NAME = "align_uniform"


@pytest.fixture
def files(tmp_path, monkeypatch):
    """The document's files on disk, where the package finds them."""
    blocks = re.findall(r"^`(\S+\.py)`\n```python\n(.*?)^```$", DOCUMENT.read_text(), re.M | re.S)
    paths = {}
    for name, text in blocks:
        path = tmp_path / name
        path.parent.mkdir(parents=True)
        path.write_text(text)
        paths[path.parent.name] = path
    assert sorted(paths) == ["configs", "losses", "methods"]
    for package in (losses, methods):
        folder = paths[package.__name__.rpartition(".")[2]].parent
        monkeypatch.setattr(package, "__path__", [*package.__path__, str(folder)])
    importlib.invalidate_caches()
    yield paths
    for package in (losses, methods):
        sys.modules.pop(f"{package.__name__}.{NAME}", None)
        vars(package).pop(NAME, None)


def built(files):
    """The config at toy size."""
    c = runpy.run_path(str(files["configs"]))["get_config"]("smoke")
    c.steps, c.batch_size = 12, 64
    c.optimizer.name, c.optimizer.learning_rate, c.optimizer.bias_learning_rate = "sgd", 0.2, None
    with c.unlocked():
        c.encoder.features = 8
    return build(c, make_mesh(jax.devices()[:1]), train_size=1297)


def test_the_loss_is_found_and_means_the_same_on_four_devices(files):
    (case,) = [case for case in discovery.cases() if case.name == NAME]
    for way in (conformance.outside, conformance.inside, conformance.sharded_jit):
        conformance.check_sharded(case, way, devices=4)
    conformance.check_pmap(case, devices=4)


def test_the_loss_is_its_formula(files):
    loss = importlib.import_module(f"jax_bt.losses.{NAME}").align_uniform
    views = np.random.default_rng(0).normal(size=(2, 16, 5))
    with jax.enable_x64(True):
        value = jax.jit(loss)(*views).loss
    a, b = (formulas.unit(z) for z in views)
    pairs = ~np.eye(16, dtype=bool)
    expected = np.mean(np.sum((a - b) ** 2, axis=1))
    for z in (a, b):
        squares = np.sum((z[:, None] - z[None]) ** 2, axis=2)
        expected += np.log(np.mean(np.exp(-2 * squares[pairs]))) / 2
    np.testing.assert_allclose(value, expected, rtol=1e-9)


def test_the_config_trains(files):
    assert NAME in methods.names()
    run, source = built(files), data.load("digits")
    state, losses = run.init_state(), []
    assert state.target == ()  # no init_target, no update_target
    recipes = run.data.recipes
    batches = data.batches(source, "train", global_batch=64, seed=0, recipes=recipes)
    for _ in range(run.total_steps):
        batch = to_global(run.mesh, step_input(run, next(batches)))
        state, metrics = run.train_step(state, batch)
        terms = metrics.terms
        losses.append(float(terms["loss"]))
        total = terms["alignment"] + terms["uniformity"]
        np.testing.assert_allclose(terms["loss"], total, rtol=1e-5)
    assert state.target == () and int(state.step) == 12
    assert np.mean(losses[-3:]) < np.mean(losses[:3]) - 0.1
    assert run.trace() == ("loss", "alignment", "uniformity")


def test_an_option_outside_its_range_is_refused_in_one_line(files):
    module = methods.load(NAME)
    with pytest.raises(UsageError, match=r"^loss.t=-2.0: give a number above 0$"):
        methods.Method(module, loss_options={"t": -2.0})
    with pytest.raises(UsageError, match=f"^{NAME} has no loss option 'tau': it has weight, t$"):
        methods.Method(module, loss_options={"tau": 2.0})


@pytest.mark.parametrize(
    "bug, kind",
    [("a, b, c = views", ValueError), ("views[2]", IndexError), ("context.axis", AttributeError)],
)
def test_a_bug_keeps_its_traceback(files, bug, kind):
    """It is no user's mistake, and its last line is the line with the bug."""
    path = files["methods"]
    path.write_text(path.read_text().replace("    out =", f"    {bug}\n    out ="))
    with pytest.raises(kind) as caught:
        built(files).trace()
    assert not isinstance(caught.value, Expected)
    last = traceback.extract_tb(caught.value.__traceback__)[-1]
    assert (last.filename, last.line) == (str(path), bug)


def test_the_document_lists_all_that_a_method_may_have():
    text = DOCUMENT.read_text().partition("## What else a method may have")[2]
    functions = dict(re.findall(r"^\| `(\w+)\((.*?)\)` \|", text, re.M))
    assert list(functions) == [
        "heads", "loss", "init_target", "update_target", "init_bank", "update_bank", "start_epoch",
        "constrain",
    ]  # fmt: skip
    for function, described in functions.items():
        names = described.partition(", *")[0].split(", ")
        for module in (methods.load(name) for name in methods.names()):
            if hasattr(module, function):
                parameters = inspect.signature(getattr(module, function)).parameters.values()
                positional = [p.name for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD]
                assert positional == names, (module.__name__, function)
    fields = [field.name for field in dataclasses.fields(methods.Context)]
    assert re.findall(r"^\| `([a-z_]+)` \|", text, re.M) == fields
    constants = re.findall(r"^\| `([A-Z_]+)", text, re.M)
    assert constants == ["VIEWS", "PLACES", "SHARED_ONLY", "LEAST_SCALE"]
    for name in constants:
        assert any(hasattr(methods.load(method), name) for method in methods.names())
