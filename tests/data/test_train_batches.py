"""Batches: pure in (seed, step), the same on any number of processes."""

import itertools

import numpy as np
import pytest

from jax_bt import augment, data
from jax_bt.augment.host.view import make_view
from jax_bt.data import order, train_batches
from jax_bt.data.sources import tfds, tfrecord
from jax_bt.errors import DataError

BATCH = 6
# Crop and noise: random in the box and in every pixel, and quick to trace.
RECIPES = (augment.recipe_from({"size": 8, "crop": {}, "noise": {}}),) * 2


@pytest.fixture(params=["arrays", "folder", "fixed", "varied", "indexed", "streamed"])
def source(request, image_folder, tfds_dir, monkeypatch):
    """The same 16 to 30 examples from every kind of source."""
    if request.param == "arrays":
        images = np.random.default_rng(0).random((20, 9, 9, 3), np.float32)
        return data.from_arrays({"train": (images, np.arange(20))})
    if request.param == "folder":
        return data.load(str(image_folder))
    if request.param == "streamed":
        monkeypatch.setattr(tfds, "MEMORY_LIMIT", 0)
        monkeypatch.setattr(tfrecord.StreamRecords, "BUFFER", 8)
        return data.load("varied", tfds_dir)
    return data.load(request.param, tfds_dir)


def take(source, count, start=0, **options):
    options = {"global_batch": BATCH, "seed": 3, "recipes": RECIPES} | options
    batches = data.batches(source, "train", start_step=start, **options)
    return list(itertools.islice(batches, count))


def assert_equal(one, other):
    assert one.keys() == other.keys()
    for key in one.keys() - {"views"}:
        np.testing.assert_array_equal(one[key], other[key])
    for a, b in zip(one["views"], other["views"], strict=True):
        np.testing.assert_array_equal(a, b)


def test_one_run_resumed_and_shared(source):
    """Two epochs; from any step on; on one, two and three processes."""
    epoch = data.steps_per_epoch(source.size("train"), BATCH)
    run = take(source, 2 * epoch + 1)
    first = run[0]
    assert len(first["views"]) == 2
    assert all(v.shape == (BATCH, 8, 8, 3) and v.dtype == np.float32 for v in first["views"])
    assert first["index"].dtype == np.int64
    for epoch_steps in (run[:epoch], run[epoch:-1]):
        seen = np.concatenate([b["index"] for b in epoch_steps])
        assert len(np.unique(seen)) == epoch * BATCH
        assert seen.max() < source.size("train")
    labels = source.labels("train")
    for batch in run:
        np.testing.assert_array_equal(batch["label"], labels[batch["index"]])
    orders = [[b["index"].tolist() for b in part] for part in (run[:epoch], run[epoch:-1])]
    assert orders[0] != orders[1]

    for start in (1, epoch + 1):
        for step, batch in enumerate(take(source, 2, start), start):
            assert_equal(batch, run[step])
    step = epoch + 1
    for count in (2, 3):
        parts = [
            take(source, 1, step, process_index=i, process_count=count)[0] for i in range(count)
        ]
        joined = {k: np.concatenate([p[k] for p in parts]) for k in ("index", "label")}
        joined["views"] = tuple(np.concatenate([p["views"][v] for p in parts]) for v in range(2))
        assert_equal(joined, run[step])


@pytest.fixture(scope="module")
def arrays():
    images = np.random.default_rng(1).integers(0, 256, (14, 9, 9, 3), dtype=np.uint8)
    return data.from_arrays({"train": images})


def test_views_depend_on_seed_epoch_and_index_alone(arrays):
    """A batch of another size sees the same views of the same examples."""
    # Two epochs of one step: 7 examples, and all 14.
    small = {
        int(i): v
        for b in take(arrays, 2, global_batch=7)
        for i, v in zip(b["index"], b["views"][0], strict=True)
    }
    whole = take(arrays, 2, global_batch=14)
    for index, view in zip(whole[0]["index"], whole[0]["views"][0], strict=True):
        np.testing.assert_array_equal(view, small[int(index)])
    where = {int(i): n for n, i in enumerate(whole[1]["index"])}
    for n, index in enumerate(whole[0]["index"]):
        assert not np.array_equal(whole[0]["views"][0][n], whole[1]["views"][0][where[int(index)]])
        assert not np.array_equal(whole[0]["views"][0][n], whole[0]["views"][1][n])
    other = take(arrays, 1, seed=4, global_batch=14)[0]
    assert not np.array_equal(other["index"], whole[0]["index"])


def test_the_order_is_the_keyed_permutation(arrays):
    seen = np.concatenate([b["index"] for b in take(arrays, 2)])
    np.testing.assert_array_equal(seen, order.permutation(14, seed=3, epoch=0)[:12])


def test_threads_do_not_change_results(arrays, monkeypatch):
    many = take(arrays, 3)
    monkeypatch.setattr(train_batches, "worker_count", lambda: 1)
    for one, other in zip(take(arrays, 3), many, strict=True):
        assert_equal(one, other)


def test_a_paper_s_recipe(arrays):
    """The views of `make_view`, which the tests of the views compare with the papers."""
    recipes = augment.recipes("cifar_barlow", size=8)
    (batch,) = take(arrays, 1, recipes=recipes)
    seeds = order.example_seeds(batch["index"], seed=3, epoch=0, views=2).view(np.int32)
    images, _ = arrays.records("train").fetch(batch["index"])
    for view, recipe in enumerate(recipes):
        for n, image in enumerate(images):
            expected = make_view(image, recipe, seeds[n, view])
            np.testing.assert_allclose(batch["views"][view][n], expected, atol=1e-5)


def test_host_only_sends_the_crop_in_eight_bits(arrays):
    unit = {"mean": (0, 0, 0), "std": (1, 1, 1)}
    crop = (augment.recipe_from({"size": 8, "crop": {}, **unit}),) * 2
    (sent,) = take(arrays, 1, host_only=True)
    (crops,) = take(arrays, 1, recipes=crop)
    for ours, expected in zip(sent["views"], crops["views"], strict=True):
        assert ours.dtype == np.uint8
        np.testing.assert_allclose(ours / 255, expected, atol=0.5 / 255 + 1e-5)
    np.testing.assert_array_equal(sent["index"], crops["index"])


def test_views_of_several_sizes(arrays):
    sizes = (8, 5, 5)
    recipes = [augment.recipe_from({"size": size, "crop": {}}) for size in sizes]
    (batch,) = take(arrays, 1, recipes=recipes)
    assert tuple(v.shape[1] for v in batch["views"]) == sizes


def test_resuming_late_is_quick(arrays):
    """Random access needs no replay: a step in the far future is as near as the first."""
    (batch,) = take(arrays, 1, start=10**12)
    assert batch["index"].shape == (BATCH,)


def test_batches_that_do_not_fit(arrays):
    with pytest.raises(
        DataError, match="a batch of 15 does not fit arrays, split 'train', which has 14"
    ):
        data.batches(arrays, "train", global_batch=15, seed=0, recipes=RECIPES)
    with pytest.raises(DataError, match="a batch of 6 does not divide over 4 processes"):
        data.batches(
            arrays,
            "train",
            global_batch=6,
            seed=0,
            recipes=RECIPES,
            process_index=0,
            process_count=4,
        )
    with pytest.raises(DataError, match="it has train"):
        data.batches(arrays, "test", global_batch=6, seed=0, recipes=RECIPES)


@pytest.mark.parametrize("side", [9, 200])  # cropped in batches, and one by one
def test_ten_channels_of_sixteen_bits(side):
    images = np.random.default_rng(2).integers(0, 2**16, (6, side, side, 10), np.uint16)
    source = data.from_arrays({"train": images})
    assert source.channels == 10
    with pytest.raises(DataError, match=r"10 channels, .* 3: use augment.for_channels"):
        take(source, 1)
    recipes = augment.for_channels(RECIPES, 10)
    crop = (augment.recipe_from({"size": 8, "crop": {}, "mean": [0.0] * 10, "std": [1.0] * 10}),)
    (batch,) = take(source, 1, recipes=recipes)
    assert batch["views"][0].shape == (6, 8, 8, 10)
    (crops,) = take(source, 1, recipes=crop)
    unit = data.from_arrays({"train": (images / 65535).astype(np.float32)})
    np.testing.assert_allclose(
        crops["views"][0], take(unit, 1, recipes=crop)[0]["views"][0], atol=1e-6
    )
    (sent,) = take(source, 1, recipes=recipes, host_only=True)
    assert sent["views"][1].dtype == np.uint8
    (whole,) = data.examples(source, "train", recipe=recipes[0].evaluation())
    assert whole["image"].shape == (6, 8, 8, 10)
