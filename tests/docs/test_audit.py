"""The code of docs/audit.md runs, and its checks and words are those of the audit."""

import pathlib
import re

from jax_bt.devices import _audit_words

PAGE = (pathlib.Path(__file__).parents[2] / "docs" / "audit.md").read_text()


def test_the_example_runs():
    (code,) = re.findall(r"^```python\n(.*?)^```", PAGE, re.M | re.S)
    names = {"__name__": "docs"}
    exec(compile(code, "docs/audit.md", "exec"), names)
    checks = {record["check"] for record in names["records"]}
    table = PAGE.partition("| check | question |")[2].partition("\n\n")[0]
    assert set(re.findall(r"`([a-z_0-9 ]+)`", table)) - {"stop_gradient"} == checks


def test_the_words_are_the_audits():
    words = [*_audit_words.POWERS.values(), *map(_audit_words.OWN.format, ("mean", "sum"))]
    table = PAGE.partition("| words |")[2].partition("\n\n")[0]
    assert {w for w in words if w in table} >= {"1/W", "W times", *words[-2:]}
