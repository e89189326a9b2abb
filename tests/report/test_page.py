"""The page: complete, self-contained, and safe with any name."""

import base64
import html.parser

import numpy as np
import pytest

from jax_bt import report
from jax_bt.report import maps

RESULTS = [
    {"features": "raw_pixels", "protocol": "linear_5", "top1": 86.44, "std": 1.6},
    {"features": "trained", "protocol": "linear_5", "top1": 93.1, "std": 0.84},
]
SUMMARY = {
    "method": "barlow_twins",
    "dataset": "digits",
    "steps": 1200,
    "seconds": 143.2,
    "images_per_second": 1234.5,
    "final_loss": {"loss": 17.25, "redundancy": 2750.13, "other": None},
    "results": RESULTS,
}


class Page(html.parser.HTMLParser):
    """Collects tags, their sources and the text; insists that tags are closed in order."""

    def __init__(self, text):
        super().__init__()
        self.open, self.sources, self.tags, self.words = [], [], [], []
        self.alternatives = []  # texts of images
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.sources += [value for name, value in attributes if name in ("src", "href")]
        self.alternatives += [value for name, value in attributes if name == "alt"]
        if tag not in ("meta", "img"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.words.append(data)


def images(count=4):
    return np.random.default_rng(0).normal(size=(count, 8, 8, 3)).astype(np.float32)


@pytest.fixture(scope="module")
def everything(tmp_path_factory):
    history = [{"step": s, "loss": 9.0 / (s + 1), "redundancy": 1.0, "lr": 0.1} for s in range(20)]
    c = np.eye(8)
    spectrum = np.full(8, 1 / 8)
    path = report.write(
        tmp_path_factory.mktemp("run"),
        history=history,
        correlations=(c, c),
        spectra=(spectrum, spectrum),
        views=[images(), images()],
        neighbours={"queries": images(2), "found": np.stack([images(3), images(3)])},
        feature_map={"layouts": {"PCA": maps.Layout("", np.eye(4, 2), np.arange(4), images())}},
        rates=["lr"],
        summary=SUMMARY,
        config={"optimizer": {"learning_rate": 0.2}},
        mean=(0.5, 0.5, 0.5),
        std=(0.25, 0.25, 0.25),
    )
    return path, Page(path.read_text(encoding="utf-8"))


def test_every_picture_is_a_file_and_inside_the_page(everything):
    path, page = everything
    assert (path.parent.name, path.name) == ("report", "index.html")
    names = ["results", "losses", "rates", "correlation", "spectrum", "map", "views", "neighbours"]
    files = [path.parent / f"{name}.png" for name in names]
    assert sorted(path.parent.glob("*.png")) == sorted(files)
    embedded = [base64.b64decode(source.partition("base64,")[2]) for source in page.sources]
    assert embedded == [file.read_bytes() for file in files]  # in this order
    assert len(set(page.alternatives)) == len(names)
    assert all(" " in alternative for alternative in page.alternatives)
    assert all(data.startswith(b"\x89PNG") for data in embedded)


def test_nothing_comes_from_elsewhere(everything):
    path, page = everything
    assert all(source.startswith("data:image/png;base64,") for source in page.sources)
    assert not {"script", "link", "iframe"} & set(page.tags)
    assert "http" not in "".join(page.words)


def test_the_numbers_are_there(everything):
    text = everything[1].words
    for expected in (
        "barlow twins on digits",
        "1,200",
        "2 min 23 s",
        "1,234",
        "17.25",
        "2,750",
        "not finite",
        "86.4 ± 1.6",
        "93.1 ± 0.8",
        "trained encoder",
        "5 labels per class",
    ):
        assert expected in text, expected
    assert '"learning_rate": 0.2' in "".join(text)


def test_a_later_report_leaves_nothing_of_an_earlier(tmp_path):
    report.write(tmp_path, spectra=(np.ones(4) / 4,) * 2, summary=SUMMARY)
    path = report.write(tmp_path, views=[images()])
    assert [file.name for file in sorted(path.parent.iterdir())] == ["index.html", "views.png"]
    page = Page(path.read_text(encoding="utf-8"))
    assert page.tags.count("img") == 1 and "table" not in page.tags


def test_an_empty_run_still_has_a_page(tmp_path):
    page = Page(report.write(tmp_path).read_text(encoding="utf-8"))
    assert "Report" in page.words and "img" not in page.tags


def test_names_cannot_break_the_page(tmp_path):
    nasty = '<script>alert("&")</script>'
    path = report.write(
        tmp_path,
        summary={"method": nasty, "final_loss": {nasty: 1.0}},
        results=[{"features": nasty, "protocol": nasty, "top1": 1.0, "std": 0.0}],
        config={nasty: nasty, "path": tmp_path},
    )
    page = Page(path.read_text(encoding="utf-8"))
    assert "script" not in page.tags
    assert page.words.count(nasty) >= 3
