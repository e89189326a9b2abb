"""Named protocols on an encoder and a data set: checked first, recorded, resumed."""

import dataclasses
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from jax_bt import augment, data, evaluate, models
from jax_bt.errors import DataError, UsageError
from jax_bt.train import protocols
from jax_bt.train.encoder import Encoder
from jax_bt.weights import Card


@pytest.fixture(scope="module")
def task():
    """An untrained encoder of four filters, and 200 digits."""
    options = {"name": "resnet_toy", "features": 4, "stem": "cifar"}
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


@pytest.fixture(scope="module")
def voc(tmp_path_factory):
    """A folder in VOC's layout: 16 and 8 images of two classes, one of them difficult in each."""
    root = tmp_path_factory.mktemp("voc")
    (root / "JPEGImages").mkdir()
    lists = root / "ImageSets" / "Main"
    lists.mkdir(parents=True)
    random = np.random.default_rng(0)
    labels = np.where(random.random((24, 2)) < 0.5, 1, -1)
    labels[[3, 20], [0, 1]] = 0
    for i, (cat, _) in enumerate(labels):
        colour = np.clip(random.normal(128 + 40 * cat, 30, (1 + i % 2, 2, 3)), 0, 255)
        image = Image.fromarray(colour.astype(np.uint8)).resize((16, 8 + 8 * (i % 2)))
        image.save(root / "JPEGImages" / f"{i:06d}.jpg")
    for split, members in (("trainval", range(16)), ("test", range(16, 24))):
        (lists / f"{split}.txt").write_text("".join(f"{i:06d}\n" for i in members))
        for name, column in zip(("cat", "dog"), labels.T, strict=True):
            lines = "".join(f"{i:06d} {column[i]}\n" for i in members)
            (lists / f"{name}_{split}.txt").write_text(lines)
    return data.load(root), labels


def _by_hand(task, source, labels, parts):
    """mAP from features of the same images, with the labels that the lists were written from."""
    recipe = dataclasses.replace(task.encoder.card.evaluation, parts=parts)
    arrays, ours = [], np.select([labels == 0, labels == -1], [-1, 0], 1)
    for split, rows in (("trainval", slice(16)), ("test", slice(16, 24))):
        batches = data.examples(source, split, recipe=recipe, batch=8)
        arrays += [evaluate.extract(task.encoder.apply(), batches)[0], ours[rows]]
    protocol = evaluate.find("voc07_svm")
    return protocol.module.run(*arrays, protocol.preset)["map"]


def test_several_labels_per_image_are_evaluated_as_by_hand(task, voc, tmp_path):
    source, labels = voc
    several = protocols.Task(task.encoder, source, "trainval", "test", batch=8)
    names = ["voc07_svm", "voc07_svm_vissl"]
    plain, squashed = protocols.run(several, names, tmp_path)
    centre = augment.CenterCrop(1.0, "bilinear")
    assert plain["results"]["map"] == pytest.approx(_by_hand(task, source, labels, (centre,)))
    whole = dataclasses.replace(centre, squash=True)
    assert squashed["results"]["map"] == pytest.approx(_by_hand(task, source, labels, (whole,)))
    assert "87.5" in protocols.text([plain])


@pytest.mark.parametrize(
    ("splits", "name", "answer"),
    [
        (("trainval", "test"), "knn", "knn needs one label per example, and .* has several"),
        (("trainval", "test"), "linear_sgd", "linear_sgd needs one label per example"),
        (("trainval[:3]", "test"), "voc07_svm", "class 0 is present in . of the 3 examples"),
        (("trainval", "test[:1]"), "voc07_svm", "needs an example of each class in"),
    ],
)
def test_several_labels_that_do_not_fit_are_told(task, voc, splits, name, answer, tmp_path):
    with pytest.raises(UsageError, match=answer):
        protocols.run(protocols.Task(task.encoder, voc[0], *splits), [name], tmp_path)


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
        ({}, ["retrieval"], UsageError, "retrieval compares both branches of a run"),
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
