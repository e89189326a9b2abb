"""The API pages have every public name once, and each line of theirs is an object that exists."""

import importlib
import pathlib
import pkgutil
import re

import pytest

PAGES = sorted((pathlib.Path(__file__).parents[2] / "docs" / "api").glob("*.md"))
# Plain numbers and types of other libraries; modules stand for what is in them.
UNSHOWN = {"MOST_EXAMPLES", "OPTIMIZERS", "GradientTransformation", "OptimizerState"}


def objects(page):
    return re.findall(r"^::: (\S+)$", page.read_text(), re.M)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_line_is_an_object(page):
    found = objects(page)
    assert found and len(set(found)) == len(found)
    for name in found:
        pkgutil.resolve_name(name)


@pytest.mark.parametrize("name", ["losses", "evaluate", "optim", "weights"])
def test_every_public_name_has_its_line(name):
    package = importlib.import_module(f"jax_bt.{name}")
    source = pathlib.Path(package.__file__).read_text()
    public = set(re.findall(r" import \w+ as (\w+)$", source, re.M)) or set(package.__all__)
    (page,) = (page for page in PAGES if page.stem == name)
    shown = {line.rpartition(".")[2] for line in objects(page)}
    assert shown | UNSHOWN >= public and shown <= public
