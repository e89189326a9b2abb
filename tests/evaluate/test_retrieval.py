"""Retrieval beside VSE++'s evaluation, and what it says of ties, shared captions and chance."""

import math

import numpy as np
import pytest

from jax_bt import evaluate
from jax_bt.evaluate import retrieval
from jax_bt.evaluate.retrieval import chance

KEYS = ("r1", "r5", "r10", "median", "mean")


def module():
    return evaluate.find("retrieval").module


@pytest.mark.parametrize("name", ["vse_recall_7", "vse_recall_60"])
def test_equals_vsepp(golden, name):
    g = golden(name)
    owner = np.repeat(np.arange(len(g["image"])), 5)
    found = retrieval(
        3 * g["image"], g["caption"], image_of=owner, caption_of=np.arange(len(owner))
    )
    for query in ("image", "text"):
        ours = [found[f"{query}_{key}"] for key in KEYS]
        np.testing.assert_allclose(ours, g[f"{query}_query"], rtol=1e-12)
    np.testing.assert_allclose(found["rsum"], g["rsum"], rtol=1e-12)


def test_the_order_of_the_captions_and_blocks_of_queries_change_nothing(golden, monkeypatch):
    g = golden("vse_recall_60")
    owner = np.repeat(np.arange(60), 5)
    order = np.random.default_rng(0).permutation(300)
    monkeypatch.setattr(module(), "ROWS", 7)
    found = retrieval(
        g["image"], g["caption"][order], image_of=owner[order], caption_of=np.arange(300)
    )
    np.testing.assert_allclose(found["rsum"], g["rsum"], rtol=1e-12)


def test_one_point_is_chance_and_not_all_found():
    """Every rank is the middle of the items that are no answer: 9.5 of 19."""
    found = retrieval(
        np.ones((20, 3)), np.ones((20, 3)), image_of=np.arange(20), caption_of=np.arange(20)
    )
    assert found["image_r1"] == found["text_r5"] == 0 and found["text_r10"] == 100
    assert found["image_median"] == 10 and found["image_mean"] == 10.5


def run(preset, images, captions, owner, texts):
    protocol = evaluate.find(preset)
    return protocol.module.run(images, captions, owner, texts, protocol.preset)


def test_equal_captions_are_one_query_where_asked():
    """Three images, two of which share a caption that is nearest to the second of them."""
    images = np.array([[1.0, 0.1], [1.0, 0.0], [0.0, 1.0]])
    captions = np.array([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    given = images, captions, np.arange(3), np.array([4, 4, 9])
    apart, joined = run("retrieval", *given), run("retrieval_unique", *given)
    # The first caption finds the second image first, which is not its own.
    np.testing.assert_allclose(apart["text_r1"], 200 / 3)
    assert joined["text_r1"] == joined["image_r1"] == 100
    assert joined["text_mean"] == 1


@pytest.mark.parametrize("each", [1, 5])
def test_chance_is_that_of_random_embeddings(each):
    """4,000 queries: a deviation of at most 50 % / sqrt(4,000), 0.8 points."""
    count = 20
    owner = np.repeat(np.arange(count), each)
    texts = np.arange(len(owner))
    expected = chance(owner, texts, evaluate.find("retrieval").preset)
    random, found = np.random.default_rng(0), []
    for _ in range(200):
        x, y = random.normal(size=(count, 8)), random.normal(size=(len(owner), 8))
        found.append(retrieval(x, y, image_of=owner, caption_of=texts))
    for key in ("image_r1", "image_r10", "text_r1", "text_r10", "rsum"):
        mean = np.mean([one[key] for one in found])
        np.testing.assert_allclose(mean, expected[key], atol=20 if key == "rsum" else 3.5)
    np.testing.assert_allclose(expected["text_r5"], 25)
    none = math.comb(100 - each, 10) / math.comb(100, 10) if each == 5 else 0.5
    np.testing.assert_allclose(expected["image_r10"], 100 * (1 - none))


def test_chance_of_shared_captions():
    """Ten images of two texts: of two captions ten are always both."""
    owner, texts = np.arange(10), np.repeat([3, 7], 5)
    preset = evaluate.find("retrieval_unique").preset
    found = chance(owner, texts, preset)
    assert found["image_r1"] == 50 and found["image_r5"] == found["text_r10"] == 100
    assert found["text_r1"] == 50  # five of the ten images


def test_embeddings_that_do_not_fit_are_refused():
    pairs = {"image_of": [0], "caption_of": [0]}
    with pytest.raises(ValueError, match="images have 2 dimensions and captions 3"):
        retrieval(np.ones((1, 2)), np.ones((1, 3)), **pairs)
    with pytest.raises(ValueError, match="captions are not finite"):
        retrieval(np.ones((1, 2)), np.full((1, 2), np.nan), **pairs)
