"""The code of docs/losses.md runs, and the options it names exist."""

import inspect
import pathlib
import re

from jax_bt import losses

PAGE = pathlib.Path(__file__).parents[2] / "docs" / "losses.md"


def test_every_snippet_runs_after_those_before_it():
    snippets = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(), re.DOTALL | re.MULTILINE)
    assert len(snippets) >= 7
    names = {"__name__": "docs"}
    for snippet in snippets:
        exec(compile(snippet, str(PAGE), "exec"), names)


def test_options_and_functions_exist():
    text = PAGE.read_text()
    options = re.findall(r"`(\w+)\((\w+)=", text)
    assert len(options) >= 8
    for function, option in options:
        assert option in inspect.signature(getattr(losses, function)).parameters, option
    for function in re.findall(r"^\| `(\w+)\(", text, re.MULTILINE):
        assert callable(getattr(losses, function))


def test_pictures_exist():
    for picture in re.findall(r"!\[[^]]*\]\(([^)]+)\)", PAGE.read_text()):
        assert (PAGE.parent / picture).stat().st_size < 100_000
