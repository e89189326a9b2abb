"""SGD on stored features is linear_sgd on the same batches."""

import dataclasses
import importlib

import jax
import numpy as np
import pytest
from sklearn.datasets import load_digits

from jax_bt import evaluate
from jax_bt.devices.mesh import make_mesh

module = importlib.import_module("jax_bt.evaluate.linear_cached")
sgd = importlib.import_module("jax_bt.evaluate.linear_sgd")


@pytest.fixture(scope="module")
def digits():
    x, y = load_digits(return_X_y=True)
    x = (x / 16 - 0.5).astype(np.float32)
    return x[:1400], y[:1400], x[1400:], y[1400:]


@pytest.mark.parametrize("devices", [1, 8])
def test_is_linear_sgd_on_the_same_batches(digits, devices):
    preset = dataclasses.replace(module.PRESETS[""], epochs=4)
    mesh = make_mesh(jax.devices()[:devices])
    found = module.run(*digits, preset, mesh=mesh, seed=3)

    def train(epoch):
        rows = np.random.default_rng([3, epoch]).permutation(1400)
        for chosen in np.split(rows, range(256, 1400, 256)):  # the last has 120
            yield {"image": digits[0][chosen], "label": digits[1][chosen]}

    wanted = sgd.run(
        lambda variables, x: x,
        {},
        train,
        [{"image": digits[2], "label": digits[3]}],
        preset,
        classes=10,
        mesh=mesh,
        seed=3,
    )
    assert found["settings"] == wanted["settings"]
    assert 85 < found["last_top1"] < 97


def test_it_is_a_column_of_the_table(digits):
    x, y = digits[2], digits[3]
    arrays = (x[:200], y[:200], x[200:], y[200:])
    results = evaluate.compare({"raw_pixels": arrays}, protocols=["linear_cached_vicreg"])
    assert results[0]["top1"] > 50
    heading = evaluate.cells(results)[0][1]
    assert heading == "linear evaluation of VICReg, stored features"
    assert not evaluate.find("linear_cached_vicreg").preset.published
