"""Extraction over several devices: the same features, whatever divides."""

import jax
import numpy as np
import pytest

from jax_bt import evaluate
from jax_bt.devices.mesh import make_mesh


@pytest.mark.parametrize("count", [3, 8, 21, 32])
@pytest.mark.parametrize("devices", [1, 8])
def test_a_mesh_changes_nothing(count, devices):
    shapes = []

    @jax.jit
    def apply(images):
        shapes.append(images.shape[0])
        return images.reshape(len(images), -1)[:, ::-1]

    images = np.random.default_rng(0).normal(size=(count, 2, 2, 3)).astype(np.float32)
    index = np.arange(count)
    batches = [
        {"image": images[i : i + 10], "label": index[i : i + 10] % 3, "index": index[i : i + 10]}
        for i in range(0, count, 10)
    ]
    found = evaluate.extract(apply, batches, make_mesh(jax.devices()[:devices]))
    wanted = images.reshape(count, -1)[:, ::-1], index % 3, index
    for a, b in zip(found, wanted, strict=True):
        np.testing.assert_array_equal(a, b)
    assert shapes == [-(-min(count, 10) // devices) * devices]  # compiled once


def test_says_what_is_wrong():
    with pytest.raises(ValueError, match="no batches"):
        evaluate.extract(lambda x: x, [], make_mesh())
    with pytest.raises(ValueError, match=r"\(8, features\), got \(8, 2, 2, 1\)"):
        evaluate.extract(lambda x: x, [{"image": np.ones((3, 2, 2, 1))}], make_mesh())
