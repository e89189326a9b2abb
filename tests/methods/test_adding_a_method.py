"""docs/adding_a_method.md, word for word: its files are found, agree on devices, and train."""

import importlib
import pathlib
import re
import runpy
import sys

import jax
import numpy as np
import pytest
from helpers import conformance, discovery

import jax_bt.losses
from jax_bt import data, methods, run
from jax_bt import mesh as meshes

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
    for package in (jax_bt.losses, methods):
        folder = paths[package.__name__.rpartition(".")[2]].parent
        monkeypatch.setattr(package, "__path__", [*package.__path__, str(folder)])
    importlib.invalidate_caches()
    yield paths
    for package in (jax_bt.losses, methods):
        sys.modules.pop(f"{package.__name__}.{NAME}", None)
        vars(package).pop(NAME, None)


def test_the_files_are_short(files):
    """Under sixty lines that are not blank."""
    assert sorted(files) == ["configs", "losses", "methods"]
    text = "\n".join(path.read_text() for path in files.values())
    assert len([line for line in text.splitlines() if line.strip()]) < 60


def test_the_loss_is_found_and_agrees_on_devices(files):
    (case,) = [case for case in discovery.cases() if case.name.startswith(NAME)]
    conformance.check_sharded(case, conformance.outside, devices=4)


def test_the_config_trains(files):
    assert NAME in methods.names()
    c = runpy.run_path(str(files["configs"]))["get_config"]("smoke")
    c.steps, c.batch_size, c.encoder.features = 12, 64, 8
    c.optimizer.name, c.optimizer.learning_rate, c.optimizer.bias_learning_rate = "sgd", 0.2, None
    source, mesh = data.load("digits"), meshes.make_mesh(jax.devices()[:1])
    built = run.build(c, source.size("train"), mesh)
    state, step = run.init_state(built, c), run.train_step(built, c)
    batches = data.batches(source, "train", global_batch=64, seed=0, recipes=built.recipes)
    losses = []
    for _ in range(c.steps):
        state, terms = step(state, meshes.to_global(mesh, {"views": next(batches)["views"]}))
        losses.append(float(terms["loss"]))
        np.testing.assert_allclose(
            terms["loss"], terms["alignment"] + terms["uniformity"], rtol=1e-5
        )
    assert np.mean(losses[-3:]) < np.mean(losses[:3]) - 0.1
    assert {"alignment", "uniformity", "collapse/embedding_std"} < set(terms)


def test_what_the_document_says_of_modules_is_so():
    """Every attribute it lists is one that some method has."""
    text = DOCUMENT.read_text().partition("may say more about itself")[2]
    named = re.findall(r"^\| `(\w+)", text, re.M)
    assert named == ["FORMULA", "SHARED_ONLY", "VIEWS", "constrain", "LEAST_SCALE"]
    for attribute in named:
        assert any(hasattr(methods.load(name), attribute) for name in methods.names())
    for given in methods.GIVEN:
        assert f"`{given}`" in DOCUMENT.read_text()
