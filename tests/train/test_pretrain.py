"""The whole way of a user: photographs, one call, features, a classifier, another program."""

import io
import json

import jax
import numpy as np
import pytest
from PIL import Image
from sklearn.linear_model import LogisticRegression

import jax_bt
from jax_bt import data, weights
from jax_bt.errors import DataError, UsageError
from jax_bt.train import export, features, step

SMALL = {
    "batch_size": 16,
    "data.image_size": 16,
    "encoder.stem": "cifar",
    "heads.projector": (16, 16),
    "optimizer.warmup_epochs": 0.5,
    "evaluate.protocols": ("knn",),
    "log_every": 1,
    "checkpoint.every_steps": 2,
}


def picture(random, color):
    """Noise about one colour, of some size, as JPEG."""
    height, width = random.integers(18, 40, 2)
    pixels = np.clip(random.normal(color, 40, (height, width, 3)), 0, 255).astype(np.uint8)
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "jpeg")
    return out.getvalue()


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """Red and blue pictures in a folder: train and test, a sub-folder per class."""
    root, random = tmp_path_factory.mktemp("photos"), np.random.default_rng(0)
    for split, count in (("train", 16), ("test", 6)):
        for name, color in (("red", (200, 60, 60)), ("blue", (60, 60, 200))):
            folder = root / split / name
            folder.mkdir(parents=True)
            for i in range(count):
                (folder / f"{i}.jpg").write_bytes(picture(random, color))
    return root


@pytest.fixture(scope="module")
def traces():
    """Gets an entry whenever Python traces an update; the online classifier has one too."""
    return []


@pytest.fixture(scope="module")
def run(photos, tmp_path_factory, traces):
    out = tmp_path_factory.mktemp("run") / "vicreg"

    def update(*args, **kwargs):
        traces.append(1)
        return optim_update(*args, **kwargs)

    optim_update = step.optim.update
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(step.optim, "update", update)
        summary = jax_bt.pretrain(
            photos, out, method="vicreg", encoder="resnet_toy", epochs=2, **SMALL
        )
    return out, summary


def test_the_step_is_traced_once(run, traces):
    assert len(traces) == 2


def test_the_summary_says_what_was_achieved(run):
    out, summary = run
    assert summary["steps"] == 4 and summary["method"] == "vicreg"
    assert [r["protocol"] for r in summary["results"]] == ["knn"]
    assert json.loads((out / "summary.json").read_text()) == summary
    assert {p.name for p in out.iterdir()} >= {"encoder.safetensors", "card.json", "report"}


def test_the_kept_checkpoints_are_compared(run, photos):
    """RankMe by its definition, on features of the images as the checkpoint's encoder sees them."""
    out, summary = run
    assert [record["step"] for record in summary["checkpoints"]] == [2, 4]
    source = data.load(str(photos))
    for record in summary["checkpoints"]:
        encoder = jax_bt.load(out, step=record["step"])
        batches = data.examples(source, "train", recipe=encoder.card.evaluation, batch=32)
        x = np.float64(encoder.apply()(next(batches)["image"]))
        share = np.linalg.svd(x, compute_uv=False)
        share /= share.sum()
        np.testing.assert_allclose(
            record["rankme"], np.exp(-np.sum(share * np.log(share))), rtol=1e-3
        )
        assert record["knn_top1"] == 100.0
    page = (out / "report" / "index.html").read_text()
    assert "The kept checkpoints" in page


def test_called_again_it_is_finished(run, photos, capsys):
    out, summary = run
    again = jax_bt.pretrain(photos, out, method="vicreg", encoder="resnet_toy", epochs=2, **SMALL)
    assert again == summary
    assert "this run is finished" in capsys.readouterr().out


def test_features_train_a_classifier(run, photos, tmp_path):
    """Two colours are told apart by any encoder that sees colours: the classes, the rows and the
    labels belong together or the classifier would be at chance."""
    out, _ = run
    encoder, source = jax_bt.load(out), data.load(str(photos))
    arrays = {}
    for split in ("train", "test"):
        features.write(encoder, source, split, tmp_path / split, batch=7)
        x = np.load(tmp_path / split / "features.npy", mmap_mode="r")
        arrays[split] = x, np.load(tmp_path / split / "labels.npy")
    assert arrays["train"][0].shape == (32, 16)
    classifier = LogisticRegression(max_iter=1000).fit(*arrays["train"])
    assert classifier.score(*arrays["test"]) == 1.0
    names = (tmp_path / "test" / "names.txt").read_text().splitlines()
    folders = [name.split("/")[-2] for name in names]
    assert folders == [source.class_names[label] for label in arrays["test"][1]]
    meta = json.loads((tmp_path / "test" / "meta.json").read_text())
    assert meta["complete"] and meta["damaged"] == [] and meta["card"]["method"] == "vicreg"


def test_interrupted_features_go_on_and_other_features_are_refused(run, photos, tmp_path):
    out, _ = run
    encoder, source = jax_bt.load(out), data.load(str(photos))
    features.write(encoder, source, "train", tmp_path / "whole", batch=8)
    apply = encoder.apply
    calls = []

    def failing(layer):
        function = apply(layer)

        def call(images):
            calls.append(len(images))
            if len(calls) == 3:
                raise KeyboardInterrupt
            return function(images)

        return call

    encoder.apply = failing
    with pytest.raises(KeyboardInterrupt):
        features.write(encoder, source, "train", tmp_path / "parts", batch=8)
    features.write(encoder, source, "train", tmp_path / "parts", batch=8)
    # Nothing is computed twice but the failed batch and the one under way then.
    assert sum(calls) == 8 * 3 + 8 * 3
    whole, parts = (np.load(tmp_path / name / "features.npy") for name in ("whole", "parts"))
    np.testing.assert_array_equal(parts, whole)
    with pytest.raises(UsageError, match="holds other features .*split"):
        features.write(encoder, source, "test", tmp_path / "parts", batch=8)


def test_images_in_memory_are_seen_as_in_the_run(run, photos):
    """uint8 of any size: the evaluation's own crop and normalisation; floats are the same / 255."""
    out, _ = run
    encoder, source = jax_bt.load(out), data.load(str(photos))
    images = np.random.default_rng(0).integers(0, 256, (5, 20, 24, 3), dtype=np.uint8)
    found = encoder(images)
    assert found.shape == (5, 16) and found.dtype == np.float32
    np.testing.assert_allclose(encoder(images / np.float32(255)), found, rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(encoder(images, batch=2), found, rtol=1e-4, atol=1e-5)
    with pytest.raises(DataError, match=r"\(N, H, W"):
        encoder(images[0, 0])
    with pytest.raises(UsageError, match="--layer=layer9: choose one of pooled"):
        encoder(images, layer="layer9")
    batch = next(data.examples(source, "test", recipe=encoder.card.evaluation, batch=4))
    direct = encoder.module.apply(encoder.variables, batch["image"], train=False)
    np.testing.assert_allclose(encoder.apply()(batch["image"]), direct, rtol=1e-4, atol=1e-5)


def test_a_checkpoint_is_the_finished_encoder_and_has_the_projector(run):
    out, _ = run
    finished, saved = jax_bt.load(out), jax_bt.load(out, step=4)
    jax.tree.map(np.testing.assert_array_equal, finished.variables, saved.variables)
    images = np.zeros((2, 16, 16, 3), np.uint8)
    assert saved(images, layer="embedding").shape == (2, 16)
    assert saved.card == finished.card


@pytest.mark.parametrize("form", ["torchvision", "timm", "safetensors", "npz"])
def test_what_is_exported_can_be_loaded(run, form, tmp_path):
    out, _ = run
    encoder = jax_bt.load(out)
    path = export.export(encoder, form, tmp_path / f"encoder{export.FORMATS[form]}")
    arrays = weights.read(path)
    for name, array in encoder.state_dict().items():
        if not name.endswith("num_batches_tracked"):
            np.testing.assert_array_equal(arrays[name], array)
    assert path.with_suffix(".json").exists()


def test_a_compiled_export_computes_the_same_for_any_batch(run, tmp_path):
    out, _ = run
    encoder = jax_bt.load(out)
    path = export.export(encoder, "stablehlo", tmp_path / "encoder.stablehlo")
    call = jax.export.deserialize(bytearray(path.read_bytes())).call
    for count in (1, 3):
        images = np.random.default_rng(0).normal(size=(count, 16, 16, 3)).astype(np.float32)
        np.testing.assert_allclose(call(images), encoder.apply()(images), rtol=1e-4, atol=1e-5)


def test_detectron2_gets_weights_and_the_papers_configs(run, tmp_path):
    yaml = pytest.importorskip("yaml")
    path = export.export(jax_bt.load(run[0]), "detectron2", tmp_path / "encoder.pkl")
    assert "layer1.0.conv1.weight" in weights.read(path)
    schedules = {}
    for name in ("voc_c4", "coco_c4", "coco_fpn"):
        read = yaml.safe_load((tmp_path / f"encoder_{name}.yaml").read_text())
        assert read["MODEL"]["WEIGHTS"] == "encoder.pkl"
        schedules[name] = read["SOLVER"]["MAX_ITER"], read["SOLVER"]["BASE_LR"]
    assert schedules == {
        "voc_c4": (24000, 0.1),
        "coco_c4": (90000, 0.03),
        "coco_fpn": (90000, 0.04),
    }


def test_torch_reads_the_exported_file(run, tmp_path):
    torch = pytest.importorskip("torch")
    out, _ = run
    encoder = jax_bt.load(out)
    path = export.export(encoder, "torchvision", tmp_path / "encoder.pth")
    read = torch.load(path, weights_only=True)
    for name, array in encoder.state_dict().items():
        np.testing.assert_array_equal(read[name].numpy(), array)


@pytest.mark.parametrize(
    ("form", "name", "answer"),
    [
        ("npy", "x.npz", "--format=npy: choose one of torchvision, timm"),
        ("npz", "x.pth", "give a .npz file"),
        ("npz", "missing/x.npz", "in a folder that exists"),
    ],
)
def test_what_cannot_be_exported(form, name, answer, tmp_path):
    with pytest.raises(UsageError, match=answer):
        export.check_output(form, tmp_path / name)


@pytest.mark.parametrize(
    ("overrides", "answer"),
    [
        ({"bacth_size": 3}, "no field 'bacth_size': did you mean 'batch_size'"),
        ({"optimizer.nestrov": True}, "no field 'nestrov': did you mean 'nesterov'"),
        ({"batch_size": "many"}, "batch_size='many': expected int, such as"),
        ({"batch_size": None}, "batch_size=None: it needs a value"),
        ({"method": "vicregg"}, "no method 'vicregg'"),
    ],
)
def test_a_mistake_in_python_is_one_line(overrides, answer, tmp_path):
    with pytest.raises(UsageError, match=answer):
        jax_bt.pretrain("digits", tmp_path / "run", **overrides)
    assert not (tmp_path / "run").exists()


def test_four_channels_of_sixteen_bits_in_memory(tmp_path):
    images = np.random.default_rng(0).integers(0, 2**16, (32, 16, 16, 4), dtype=np.uint16)
    small = SMALL | {"checkpoint.every_steps": 1}
    summary = jax_bt.pretrain(images, tmp_path / "run", encoder="resnet_toy", epochs=1, **small)
    assert summary["steps"] == 2 and summary["results"] == []
    assert [set(record) for record in summary["checkpoints"]] == [{"step", "rankme"}] * 2
    encoder = jax_bt.load(tmp_path / "run")
    assert encoder.variables["params"]["conv1"]["kernel"].shape[2] == 4
    assert encoder(images[:2]).shape == (2, 16)
