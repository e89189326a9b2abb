"""docs/methods_family.md names methods, options and configs that exist."""

import pathlib
import re

import pytest

from jax_bt import config, methods

ROOT = pathlib.Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "methods_family.md").read_text()
TABLE = dict(re.findall(r"^\| \[(.*?)\]\(#.*?\) \| .* \| (.*) \|$", TEXT, re.M))
SECTIONS = dict(re.findall(r"^## (.*?)\n(.*?)(?=^## |\Z)", TEXT, re.M | re.S))


def test_every_method_has_a_section():
    assert [*TABLE, "Our numbers"] == list(SECTIONS)
    assert {title.lower().replace(" ", "_") for title in TABLE} <= set(methods.names())


@pytest.mark.parametrize("title", TABLE)
def test_options_and_configs_exist(title):
    name = title.lower().replace(" ", "_")
    c = config.base(name)
    for group, option in re.findall(r"`(heads|loss|target)\.(\w+)", SECTIONS[title]):
        assert option in c[group], f"{group}.{option}"
    short = name.removesuffix("_twins")
    assert TABLE[title].split(", ") == [f"{short}_{size}" for size in ("r50", "cifar10", "digits")]
    assert all((ROOT / "configs" / f"{stem}.py").is_file() for stem in TABLE[title].split(", "))
