"""The site shows the pages as the repository does: what mkdocs --strict does not check."""

import pathlib
import re

import pytest

PAGES = sorted((pathlib.Path(__file__).parents[2] / "docs").glob("*.md"))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_lists_and_tables_begin_after_an_empty_line(page):
    text = re.sub(r"^ *```.*?^ *```$", "", page.read_text(), flags=re.M | re.S)
    for paragraph in re.split(r"\n\s*\n", text):
        lines = [x for x in paragraph.strip().splitlines() if not x.startswith("#")]
        for start in (r"- |\d+\. ", r"\|"):
            found = [bool(re.match(start, line)) for line in lines]
            assert not any(found) or found[0], paragraph
