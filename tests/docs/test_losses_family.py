"""The code of docs/losses_family.md runs, and the names of its tables exist."""

import pathlib
import re
import typing

from jax_bt import losses

PAGE = pathlib.Path(__file__).parents[2] / "docs" / "losses_family.md"


def test_every_snippet_runs_after_those_before_it():
    snippets = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(), re.DOTALL | re.MULTILINE)
    assert len(snippets) == 2
    names = {"__name__": "docs"}
    for snippet in snippets:
        exec(compile(snippet, str(PAGE), "exec"), names)


def test_functions_and_fields_exist():
    rows = re.findall(r"^\| `(\w+)\([^|]*\| ([^|]*) \|", PAGE.read_text(), re.MULTILINE)
    assert len(rows) == 11
    for function, fields in rows:
        record = typing.get_type_hints(getattr(losses, function))["return"]
        assert record._fields == ("loss", *re.findall(r"`(\w+)`", fields))


def test_every_convention_is_in_the_table():
    """Each name of an option stands in the page, and no other name does."""
    known = set()
    for function in vars(losses).values():
        hints = typing.get_type_hints(function) if callable(function) else {}
        known |= set(typing.get_args(hints.get("convention")))
    named = set(re.findall(r'`"(\w+)"`', PAGE.read_text()))
    assert known - {"author_momentum"} == named
