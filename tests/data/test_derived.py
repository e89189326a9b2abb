"""Data sets with captions: read, sliced, and drawn as views."""

import itertools

import numpy as np
import pytest

from jax_bt import augment, data
from jax_bt.errors import DataError

SIZE = 8
RECIPES = (
    augment.recipe_from({"size": SIZE, "crop": {}}),
    augment.Tokens(length=4),
    augment.recipe_from({"size": SIZE, "crop": {}, "noise": {}}),
)


def arrays(count=10):
    images = np.random.default_rng(0).integers(0, 256, (count, 9, 9, 3), dtype=np.uint8)
    texts = np.array([[f"number {i}", f"the {i}th" if i % 2 else ""] for i in range(count)])
    return images, texts


@pytest.fixture
def source(tmp_path):
    images, texts = arrays()
    test = {"test_images": images[:3], "test_captions": texts[:3, 0]}
    np.savez(tmp_path / "pairs.npz", train_images=images, train_captions=texts, **test)
    return data.load(tmp_path / "pairs.npz")


def test_captions_of_an_npz_file(source):
    _, texts = arrays()
    assert source.columns == ("captions",)
    assert source.describe().endswith("train 10 images, test 3 images, no labels, captions")
    np.testing.assert_array_equal(source.column("train", "captions"), texts)
    assert source.column("test", "captions").shape == (3, 1)
    both = source.column("test+train[:50%]", "captions")  # the second axis is that of train
    assert both.shape == (8, 2) and (both[:3, 1] == "").all()
    # A slice of arrays is drawn from a fixed order: captions stay with their images.
    part = source.records("train[:50%]")
    images, _ = part.fetch(np.arange(5))
    for image, text in zip(images, source.column("train[:50%]", "captions"), strict=True):
        (index,) = (arrays()[0] == image).all(axis=(1, 2, 3)).nonzero()[0]
        assert text[0] == f"number {index}"


def test_other_captions_are_other_data(source):
    images, texts = arrays()
    prints = [
        data.from_arrays({"train": images}, columns=columns).fingerprint("train")["names"]
        for columns in (None, {"captions": {"train": texts}}, {"captions": {"train": texts[::-1]}})
    ]
    assert len(set(prints)) == 3


def take(source, count, start=0, **options):
    source = data.prepared(source, RECIPES, "train")
    made = data.batches(
        source, "train", global_batch=4, seed=3, recipes=RECIPES, start_step=start, **options
    )
    return list(itertools.islice(made, count))


def test_views_of_captions_are_a_function_of_seed_and_step(source):
    vocabulary = data.prepared(source, RECIPES, "train").kept["vocabulary.txt"].splitlines()
    batches = take(source, 12)  # six epochs
    seen = {}
    for batch in batches:
        image, words, noisy = batch["views"]
        assert image.shape == noisy.shape == (4, SIZE, SIZE, 3) and words.shape == (4, 4)
        assert words.dtype == np.int32
        for index, row in zip(batch["index"], words, strict=True):
            text = " ".join(vocabulary[w] for w in row if w)
            seen.setdefault(int(index), set()).add(text)
            assert f"{index}" in text.replace("th", "").split()
    assert max(len(texts) for i, texts in seen.items() if i % 2) == 2  # another one, some time
    assert max(len(texts) for i, texts in seen.items() if i % 2 == 0) == 1
    later = take(source, 3, start=5)
    halves = [take(source, 2, process_index=i, process_count=2) for i in range(2)]
    for view in range(3):
        for a, b in zip(batches[5:8], later, strict=True):
            np.testing.assert_array_equal(a["views"][view], b["views"][view])
        for whole, *parts in zip(batches[:2], *halves, strict=True):
            joined = np.concatenate([part["views"][view] for part in parts])
            np.testing.assert_array_equal(joined, whole["views"][view])


def test_views_of_images_do_not_see_the_captions(source):
    """Beside captions and alone they are the same, on the host and before the device's part."""
    images, _ = arrays()
    for options in ({}, {"host_only": True}):
        both = take(source, 1, **options)[0]["views"]
        made = data.batches(
            data.from_arrays({"train": images}),
            "train",
            global_batch=4,
            seed=3,
            recipes=(RECIPES[0],) * 2 + (RECIPES[2],),
            **options,
        )
        alone = next(made)["views"]
        np.testing.assert_array_equal(both[0], alone[0])
        np.testing.assert_array_equal(both[2], alone[2])


def test_the_vocabulary_is_that_of_the_training_split(source):
    prepared = data.prepared(source, RECIPES, "train[:50%]")
    words = prepared.kept["vocabulary.txt"].splitlines()
    assert prepared.facts == {"words": len(words)} and prepared.columns == (
        "captions",
        "captions/tokens",
    )
    tokens = prepared.column("train", "captions/tokens")
    assert tokens.shape == (10, 2, 4)
    assert words.index("<unk>") in tokens and words.index("number") in tokens
    assert source.facts == {} and source.columns == ("captions",)  # as it was
    assert prepared.describe() == source.describe()


@pytest.mark.parametrize(
    ("captions", "answer"),
    [
        ({}, "arrays has no 'captions': it has images and labels alone"),
        ({"train": ["a"] * 9 + [""]}, "1 examples of arrays train have no captions, such as num"),
        ({"train": np.arange(10)}, "captions of arrays must be texts"),
        ({"train": ["a"] * 9}, "captions of arrays, split 'train': 9 for 10 images"),
    ],
)
def test_captions_that_cannot_be_used_are_refused(captions, answer):
    columns = {"captions": captions} if captions else None
    with pytest.raises(DataError, match=answer):
        source = data.from_arrays({"train": arrays()[0]}, columns=columns)
        data.prepared(source, RECIPES, "train")


def frames_of(images, **splits):
    recipes = (
        augment.recipe_from({"size": SIZE, "crop": {}}),
        augment.Frames(length=5, bands=9, gain=0, noise=0, time_mask=0, band_mask=0),
    )
    source = data.from_arrays({"train": images, **splits}, name="spectrograms")
    return data.prepared(source, recipes, "train"), recipes


def test_frames_are_the_columns_of_the_spectrogram():
    images = np.random.default_rng(1).integers(1, 65536, (10, 9, 7, 1), dtype=np.uint16)
    source, recipes = frames_of(images)
    sequences = source.column("train", "image/frames")
    np.testing.assert_array_equal(sequences[4, 2], images[4, :, 2, 0])  # the bands of a frame
    made = data.batches(source, "train", global_batch=10, seed=0, recipes=recipes)
    batch = next(made)
    for index, view in zip(batch["index"], batch["views"][1], strict=True):
        whole = images[index, :, :, 0].T / 65535
        assert any(np.allclose(view, whole[i : i + 5], atol=1e-6) for i in range(3))


def test_frames_of_images_of_three_channels_are_refused():
    with pytest.raises(DataError, match="spectrograms of one channel, and the images have 3"):
        frames_of(arrays()[0])
