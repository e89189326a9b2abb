"""Named protocols on an encoder and a data set: checked first, recorded, resumed."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jax_bt import data, evaluate, models
from jax_bt.errors import DataError, UsageError
from jax_bt.train import protocols
from jax_bt.train.encoder import Encoder
from jax_bt.weights import Card


@pytest.fixture(scope="module")
def task():
    """An untrained encoder of four filters, and 200 digits."""
    options = {"name": "resnet_small", "features": 4, "stem": "cifar"}
    module = models.make(**options)
    variables = module.init(jax.random.key(0), jnp.zeros((1, 8, 8, 3)))
    half = (0.5, 0.5, 0.5)
    card = Card(encoder=options, image_size=8, mean=half, std=half, eval_fraction=1.0)
    encoder = Encoder(module, jax.device_get(variables), card)
    return protocols.Task(encoder, data.load("digits"), "train[:160]", "test[:40]", batch=40)


def test_features_are_evaluated_as_by_hand(task, tmp_path):
    (record,) = protocols.run(task, ["knn"], tmp_path)
    arrays = []
    for split in (task.train, task.test):
        recipe = task.encoder.card.evaluation
        x, y, _ = evaluate.extract(
            task.encoder.apply(), data.examples(task.source, split, recipe=recipe, batch=40)
        )
        arrays += [x, y]
    found = evaluate.knn(*arrays, k=evaluate.find("knn").preset.ks[0])
    assert record["results"]["top1"] == pytest.approx(found["top1"])
    assert record["settings"]["examples"] == [160, 40]
    stored = json.loads((tmp_path / "knn-digits" / "results.json").read_text())
    assert stored == record
    assert "knn" in protocols.text([record])


def test_results_are_not_made_twice_and_not_mixed_up(task, tmp_path, monkeypatch):
    protocols.run(task, ["rankme"], tmp_path)
    monkeypatch.setattr(protocols, "_run", lambda *_: pytest.fail("computed again"))
    assert protocols.run(task, ["rankme"], tmp_path)[0]["results"]["rank"] > 1
    other = protocols.Task(task.encoder, task.source, "train[:100]", task.test)
    with pytest.raises(UsageError, match="is of another encoder or setting"):
        protocols.run(other, ["rankme"], tmp_path)


def test_an_interrupted_protocol_goes_on_behind_its_last_epoch(task, tmp_path, monkeypatch):
    """Two epochs in one go, and one, a kill, and the other, end in the same numbers."""
    short = protocols.Task(task.encoder, task.source, task.train, task.test, batch=40, epochs=2)
    (whole,) = protocols.run(short, ["linear_sgd"], tmp_path / "whole")
    save = protocols._save

    def killed(path, epochs, state):
        save(path, epochs, state)
        raise KeyboardInterrupt

    monkeypatch.setattr(protocols, "_save", killed)
    with pytest.raises(KeyboardInterrupt):
        protocols.run(short, ["linear_sgd"], tmp_path / "parts")
    monkeypatch.setattr(protocols, "_save", save)
    (parts,) = protocols.run(short, ["linear_sgd"], tmp_path / "parts")
    assert parts["results"] == whole["results"]
    assert not list((tmp_path / "parts").rglob("state.msgpack"))


def test_the_encoder_is_trained_on_listed_examples_alone(task, tmp_path):
    records = task.source.records(task.train)
    names = [records.describe(index) for index in range(0, 160, 2)]
    # Names of arrays hold spaces, which a list of files does not: the words after the last slash.
    assert len(set(names)) == 80
    short = protocols.Task(task.encoder, task.source, task.train, task.test, batch=40, epochs=1)
    before = task.encoder.fingerprint()
    (record,) = protocols.run(short, ["finetune_10pct_barlow_twins"], tmp_path)
    assert 0 <= record["results"]["top1"] <= 100
    assert task.encoder.fingerprint() == before
    assert record["published"]["Barlow Twins"]["top1"] == 69.7


@pytest.mark.parametrize(
    ("changes", "names", "error", "answer"),
    [
        ({}, ["knnn"], UsageError, "no protocol 'knnn': choose from finetune, knn"),
        ({}, ["voc07_svm"], UsageError, "needs several labels per example"),
        ({}, ["linear_99"], UsageError, "draws 99 labels per class"),
        ({"train": "trian"}, ["knn"], DataError, "no split 'trian'"),
    ],
)
def test_mistakes_are_told_before_any_work(task, tmp_path, changes, names, error, answer):
    fields = {"train": task.train, "test": task.test, **changes}
    with pytest.raises(error, match=answer):
        protocols.run(protocols.Task(task.encoder, task.source, **fields), names, tmp_path)
    assert not list(tmp_path.iterdir())


def test_data_without_labels_is_told(task, tmp_path):
    images = np.zeros((8, 8, 8), np.uint8)
    source = data.from_arrays({"train": images, "test": images})
    with pytest.raises(UsageError, match="knn needs labels, and arrays train has none"):
        protocols.run(protocols.Task(task.encoder, source), ["knn"], tmp_path)
