"""Extraction: order, padding, one compilation."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jax_bt import evaluate


def split(images, labels, size):
    for start in range(0, len(images), size):
        part = slice(start, start + size)
        yield {"image": images[part], "label": labels[part], "index": np.arange(len(images))[part]}


@pytest.mark.parametrize("count", [5, 8, 19, 24])
def test_keeps_order_and_compiles_once(count):
    traces = []

    @jax.jit
    def apply(images):
        traces.append(images.shape)
        return images.reshape(len(images), -1) @ jnp.ones((12, 3), jnp.bfloat16)

    random = np.random.default_rng(0)
    images = random.normal(size=(count, 2, 2, 3)).astype(np.float32)
    labels = random.integers(0, 9, count).astype(np.int32)
    features, found, index = evaluate.extract(apply, split(images, labels, 8))
    assert features.dtype == np.float32 and features.shape == (count, 3)
    np.testing.assert_allclose(features[:, 0], images.reshape(count, -1).sum(1), atol=0.1)
    np.testing.assert_array_equal(found, labels)
    np.testing.assert_array_equal(index, np.arange(count))
    assert traces == [(min(count, 8), 2, 2, 3)]


def test_labels_and_indices_may_be_missing():
    images = np.ones((3, 2, 2, 1), np.float32)
    features, labels, index = evaluate.extract(lambda x: x.reshape(3, -1), [{"image": images}])
    assert labels is None and index is None and features.shape == (3, 4)


@pytest.mark.parametrize(
    ("batches", "message"),
    [
        ([], "no batches"),
        ([2, 3], "3 examples after a first of 2"),
        ([0], "0 examples"),
    ],
)
def test_says_what_is_wrong(batches, message):
    batches = [{"image": np.ones((count, 2, 2, 1), np.float32)} for count in batches]
    with pytest.raises(ValueError, match=message):
        evaluate.extract(lambda x: x.reshape(len(x), -1), batches)


def test_refuses_maps_for_features():
    with pytest.raises(ValueError, match=r"\(3, features\), got \(3, 2, 2, 1\)"):
        evaluate.extract(lambda x: x, [{"image": np.ones((3, 2, 2, 1), np.float32)}])
