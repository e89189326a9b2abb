"""The code of docs/one_over_w.md runs, and its table is what the audit prints."""

import pathlib
import re

from jax_bt.devices.audit import text
from jax_bt.report import table

PAGE = (pathlib.Path(__file__).parents[2] / "docs" / "one_over_w.md").read_text()


def test_the_examples_run_and_print_what_the_page_shows():
    names = {"__name__": "docs"}
    for code in re.findall(r"^```python\n(.*?)^```", PAGE, re.M | re.S):
        exec(compile(code, "docs/one_over_w.md", "exec"), names)
    (shown,) = re.findall(r"^```\n(check .*?)^```", PAGE, re.M | re.S)
    assert shown.split() == table.text(text(names["records"][:4])).split()
