"""docs/methods.md names options, configs and optimisers that exist, and tells whose they are."""

import pathlib
import re

import pytest

from jax_bt import config, methods, optim

ROOT = pathlib.Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "methods.md").read_text()
FAMILY = (ROOT / "docs" / "methods_family.md").read_text()
ROW = re.compile(r"^\| \[(.*?)\]\(#.*?\) \| .* \| (.*) \|$", re.M)
# title of a method -> its configs, from the table at the top
TABLE = dict(ROW.findall(TEXT))
SECTIONS = dict(re.findall(r"^## (.*?)\n(.*?)(?=^## |\Z)", TEXT, re.M | re.S))
FIELD = re.compile(r"`((?:heads|loss|target)\.\w+)")


def options(title):
    c = config.base(re.sub(r"\W", "_", title.lower()))
    return {f"{group}.{option}" for group in ("heads", "loss", "target") for option in c[group]}


@pytest.mark.parametrize("title", TABLE)
def test_a_methods_section_names_its_own_options(title):
    assert set(FIELD.findall(SECTIONS[title])) <= options(title)


def test_every_method_is_in_the_table_with_all_its_configs():
    both = TABLE | dict(ROW.findall(FAMILY))
    named = {re.sub(r"\W", "_", title.lower()) for title in both}
    assert named - set(methods.names()) == {"hsic_barlow_twins", "vibcreg"}  # options of others
    assert named >= set(methods.names())
    named = {word for cell in both.values() for word in cell.split(", ")}
    assert named == {path.stem for path in (ROOT / "configs").glob("*.py")}


def test_the_table_of_branches_says_which_methods_have_an_option():
    rows = re.findall(r"^\| (.*?) \| .*? \| (.*?) \|$", SECTIONS["Branches"], re.M)
    found = {field: said for cell, said in rows for field in FIELD.findall(cell)}
    assert len(found) == 7
    for field, said in found.items():
        assert {t for t in TABLE if t in said} == {t for t in TABLE if field in options(t)}, field


def test_optimisers_exist():
    assert set(re.findall(r"`(lars\w*|larc|sgd|adamw?)`", TEXT)) <= set(optim.OPTIMIZERS)
