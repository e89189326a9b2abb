"""Protocols by name: what is found, and what is refused before any long work."""

import pathlib

import numpy as np
import pytest

from jax_bt import evaluate
from jax_bt.errors import UsageError


@pytest.mark.parametrize("name", evaluate.names())
def test_every_file_has_the_interface(name):
    protocol = evaluate.find(name)
    module = protocol.module
    assert module.NEEDS in ("features", "folds", "images", "maps", "encoder", "pairs")
    assert protocol.labels in ("class", "several", "none")
    assert isinstance(module.TITLE, str) and callable(module.run)
    for typed in evaluate.presets(name):
        preset = evaluate.find(typed).preset
        assert preset.title and isinstance(preset.source, str)
        # A number that was published names where.
        assert not preset.published or preset.source
        assert all(v <= 100 for numbers in preset.published.values() for v in numbers.values())


def test_the_longest_file_is_meant():
    assert evaluate.find("linear_5").preset.per_class == 5
    assert evaluate.find("knn").preset.ks == (200,)
    assert evaluate.find("knn_20").preset.ks == (20,)
    assert evaluate.find("knn_vicreg").preset.ks == (20, 200)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("svm", "no protocol 'svm': choose from .*knn"),
        ("knn_0", "no protocol 'knn_0': choose from knn, knn_vicreg"),
        ("linear_x", "no protocol 'linear_x': choose from linear"),
        (3, "no protocol 3"),
    ],
)
def test_says_what_there_is(name, message):
    with pytest.raises(UsageError, match=message):
        evaluate.check_protocol(name)


def test_refuses_what_would_fail_after_the_run():
    counts = np.array([7, 3])
    evaluate.find("linear_3").check(examples=10, counts=counts)
    with pytest.raises(UsageError, match="draws 5 labels per class, but a class of digits has 3"):
        evaluate.find("linear_5").check(examples=10, counts=counts, where="digits")
    with pytest.raises(UsageError, match="up to 100,000 examples, not 100,001"):
        evaluate.find("linear").check(examples=100_001)
    evaluate.find("knn").check(examples=2_000_000)


def test_the_page_names_every_protocol_and_preset():
    text = (pathlib.Path(__file__).parent.parent.parent / "docs" / "evaluation.md").read_text()
    for name in evaluate.names():
        assert f"## {name}\n" in text
        section = text.partition(f"## {name}\n")[2].partition("\n## ")[0]
        for typed in evaluate.presets(name):
            if name != "linear_cached":  # it has those of linear_sgd
                short = typed.removeprefix(f"{name}_")
                assert f"`{typed}`" in section or f"`{short}`" in section, typed
