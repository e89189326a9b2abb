"""Features and kNN are the same on any number of devices and by two processes."""

import json
import os
import pathlib
import subprocess
import sys

import jax
import numpy as np
import pytest
from helpers import program

from jax_bt import config, data, models
from jax_bt.devices import processes
from jax_bt.devices.mesh import make_mesh
from jax_bt.train import evaluation, features, protocols
from jax_bt.train.build import build
from jax_bt.train.encoder import Encoder
from jax_bt.weights import Card

ROOT = pathlib.Path(__file__).parents[2]


def work(folder):
    """Features of 13 images in batches of 5 or less, kNN on them, features at a run's end."""
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (21, 8, 8, 3), dtype=np.uint8)
    labels = random.integers(0, 3, 21)
    source = data.from_arrays({"train": (images[:13], labels[:13]), "test": (images, labels)})
    module = models.make("resnet_toy", features=4, stem="cifar")
    variables = module.init(jax.random.key(0), np.zeros((1, 8, 8, 3), np.float32), train=False)
    encoder = Encoder(module, variables, Card(image_size=8, mean=(0.5,) * 3, std=(0.3,) * 3))
    features.write(encoder, source, "train", folder / "features", batch=5)
    task = protocols.Task(encoder, source, batch=5)
    top1 = protocols.run(task, ["knn"], folder / "evaluations")[0]["results"]["top1"]

    c = config.smoke(config.digits())
    c.data.train, c.data.test, c.evaluate.batch_size = "train[:41]", "test[:19]", 8
    with c.unlocked():
        c.encoder.features = 4
    run = build(c, make_mesh(), train_size=41)
    stages = dict.fromkeys(("untrained", "trained"), run.init_state().variables)
    found = evaluation.features(run, data.load("digits"), stages)
    sums = {f"{kind} {i}": float(np.sum(x)) for kind, xs in found.items() for i, x in enumerate(xs)}
    ordered = [np.all(np.diff(x.train_index) > 0) for x in found.values()]
    return {"knn": top1, **sums, "ordered": float(all(ordered))}


def work_on(folder, count):
    """The work where JAX has so many devices."""
    devices = jax.devices()[:count]
    with pytest.MonkeyPatch.context() as patch:
        for name in ("devices", "local_devices"):
            patch.setattr(jax, name, lambda: devices)
        return work(folder)


@pytest.fixture(scope="module")
def one(tmp_path_factory):
    folder = tmp_path_factory.mktemp("one")
    return folder, work_on(folder, 1)


def assert_same(folder, one):
    found, expected = (np.load(f / "features" / features.FEATURES) for f in (folder, one))
    # Each row is computed by itself: sums of at most 9 x 32 products in another order.
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
    for name in (features.LABELS, features.NAMES):
        assert (folder / "features" / name).read_bytes() == (one / "features" / name).read_bytes()


def test_eight_devices(one, tmp_path):
    assert work_on(tmp_path, 8) == pytest.approx(one[1], rel=1e-4)
    assert_same(tmp_path, one[0])


def test_two_processes(one, tmp_path):
    address = f"localhost:{program.free_port()}"
    children = [
        subprocess.Popen(
            [sys.executable, __file__, address, str(process), tmp_path],
            env=os.environ
            | {"PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'tests'}", "JAX_NUM_CPU_DEVICES": "2"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for process in (0, 1)
    ]
    said = [program.end(child) for child in children]
    for text in said:
        assert json.loads(text.splitlines()[-1]) == pytest.approx(one[1], rel=1e-4)
    assert_same(tmp_path, one[0])


if __name__ == "__main__":
    processes.start(sys.argv[1], 2, int(sys.argv[2]))
    print(json.dumps(work(pathlib.Path(sys.argv[3]))), flush=True)
    processes.finish(0)
