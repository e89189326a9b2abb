"""The map of features: which examples it takes, where t-SNE puts them, when there is none."""

import jax
import numpy as np
import pytest

from jax_bt import config, data
from jax_bt.data import Source
from jax_bt.devices.mesh import make_mesh
from jax_bt.train import pictures
from jax_bt.train.build import build
from jax_bt.train.evaluation import Features

SOURCE = data.load("digits")


def run_of(**fields):
    c = config.digits()
    c.heads.projector = (16, 12)
    for name, value in fields.items():
        config.set_field(c, name.replace("__", "."), value)
    return build(c, make_mesh(jax.devices()[:1]), train_size=1297)


def features(x, y, index=None):
    """Of test examples; the map looks at no others."""
    index = np.arange(len(x)) if index is None else index
    return Features(x[:0], y[:0], index[:0], np.float32(x), np.asarray(y), index)


def groups(classes, each, seed=0):
    """Features around one direction per class, and the classes."""
    rng = np.random.default_rng(seed)
    y = np.repeat(np.arange(classes), each)
    return rng.normal(size=(classes, 64))[y] + 0.1 * rng.normal(size=(len(y), 64)), y


def test_groups_stay_together_and_their_images_are_those_of_the_examples():
    x, y = groups(5, 12)
    lengths = np.random.default_rng(1).uniform(1, 50, size=(60, 1))  # which the cosine ignores
    index = np.arange(60) * 3
    run = run_of()
    made = pictures.of_map(run, SOURCE, features(x * lengths, y, index), None)
    assert list(made["layouts"]) == ["PCA", "t-SNE"]
    assert made["subtitle"] == "60 test images, by the cosine of their features"
    np.testing.assert_array_equal(made["labels"], y)
    layout = made["layouts"]["t-SNE"]
    distance = np.linalg.norm(layout.places[:, None] - layout.places, axis=-1)
    np.fill_diagonal(distance, np.inf)
    assert (y[np.argmin(distance, axis=1)] == y).all()
    recipe = run.data.recipes[0].evaluation()
    expected = data.chosen(SOURCE, "test", index[layout.shown], recipe)
    np.testing.assert_array_equal(layout.images, expected)
    again = pictures.of_map(run, SOURCE, features(x * lengths, y, index), None)
    np.testing.assert_array_equal(again["layouts"]["t-SNE"].places, layout.places)


def test_pca_is_that_of_the_unit_rows():
    x, y = groups(4, 10)
    note, places, *_ = pictures.of_map(run_of(), SOURCE, features(x, y), None)["layouts"]["PCA"]
    unit = x / np.linalg.norm(x, axis=1, keepdims=True)
    values = np.linalg.svd(unit - unit.mean(0), compute_uv=False)
    np.testing.assert_allclose(places.std(0) * np.sqrt(40), values[:2], rtol=1e-4)
    assert note == f"{100 * (values[:2] ** 2).sum() / (values**2).sum():.0f} % of the variance"


def test_of_many_classes_ten_are_shown_and_of_many_examples_some(monkeypatch):
    monkeypatch.setattr(pictures, "POINTS", 50)
    x, y = groups(31, 8)
    made = pictures.of_map(run_of(), SOURCE, features(x, y), None)
    np.testing.assert_array_equal(np.unique(made["labels"]), np.linspace(0, 30, 10).astype(int))
    assert len(made["labels"]) == 50
    assert made["subtitle"].startswith("50 test images of 10 of the 31 classes, by")


@pytest.mark.parametrize("test", [True, False])
def test_without_labels_the_encoder_sees_test_images_or_those_it_has(test, monkeypatch):
    monkeypatch.setattr(pictures, "POINTS", 40)
    sizes = {name: SOURCE.size(name) for name in (("train", "test") if test else ("train",))}
    source = Source("plain", sizes, SOURCE.records, num_classes=None, channels=SOURCE.channels)
    run = run_of()
    made = pictures.of_map(run, source, None, run.init_state().variables)
    assert made["labels"] is None and made["subtitle"].startswith(
        "40 test images, by" if test else "40 training images, by"
    )
    layout = made["layouts"]["PCA"]
    assert layout.places.shape == (40, 2) and np.isfinite(layout.places).all()
    split = "test" if test else "train"
    places = np.linspace(0, source.size(split) - 1, 40).astype(int)[layout.shown]
    expected = data.chosen(SOURCE, split, places, run.data.recipes[0].evaluation())
    np.testing.assert_array_equal(layout.images, expected)


def test_four_examples_are_enough_and_three_or_a_collapse_are_not():
    x, y = groups(2, 2)
    made = pictures.of_map(run_of(), SOURCE, features(x, y), None)
    assert all(np.isfinite(layout.places).all() for layout in made["layouts"].values())
    assert made["layouts"]["t-SNE"].note == "perplexity 1"
    for bad in (x[:3], np.ones((30, 8)), np.full((30, 8), np.nan), np.ones((30, 1))):
        y = np.zeros(len(bad), int)
        assert pictures.of_map(run_of(), SOURCE, features(bad, y), None) is None
    assert pictures.of_map(run_of(evaluate__protocols=()), SOURCE, None, None) is None
