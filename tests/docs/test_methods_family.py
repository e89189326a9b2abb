"""docs/methods_family.md names methods, options and configs that exist."""

import pathlib
import re

import pytest

from jax_bt import config, methods

ROOT = pathlib.Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "methods_family.md").read_text()
TABLE = dict(re.findall(r"^\| \[(.*?)\]\(#.*?\) \| .* \| (.*) \|$", TEXT, re.M))
SECTIONS = dict(re.findall(r"^## (.*?)\n(.*?)(?=^## |\Z)", TEXT, re.M | re.S))

# Options of another method: that method, and what their configs' names begin with.
VARIANTS = {"HSIC Barlow Twins": ("barlow_twins", "hsic_barlow"), "VIbCReg": ("vicreg", "vibcreg")}


def names(title):
    """The method of a section, and what its configs' names begin with."""
    name = title.lower().replace(" ", "_")
    return VARIANTS.get(title, (name, name.removesuffix("_twins")))


def test_every_method_has_a_section():
    assert [*TABLE, "Our numbers"] == list(SECTIONS)
    assert {names(title)[0] for title in TABLE} <= set(methods.names())


@pytest.mark.parametrize("title", TABLE)
def test_options_and_configs_exist(title):
    name, short = names(title)
    c = config.base(name)
    for group, option in re.findall(r"`(heads|loss|target)\.(\w+)", SECTIONS[title]):
        assert option in c[group], f"{group}.{option}"
    assert TABLE[title].split(", ") == [f"{short}_{size}" for size in ("r50", "cifar10", "digits")]
    assert all((ROOT / "configs" / f"{stem}.py").is_file() for stem in TABLE[title].split(", "))
