"""The charts, read back as pixels: what they show is where it should be."""

import pathlib

import numpy as np
import pytest
from matplotlib.colors import to_rgb
from matplotlib.image import imread

from jax_bt.report import charts, curves, style


def pixels(path):
    return imread(path)[..., :3]


def where(path, color, top=0.0, bottom=None):
    """Rows and columns of the pixels of one colour; top and bottom in inches."""
    first, last = int(top * style.DPI), bottom and int(bottom * style.DPI)
    rows = pixels(path)[first:last]
    return np.nonzero(np.abs(rows - to_rgb(color)).max(axis=-1) < 0.02)


def test_no_global_figure_state():
    for file in pathlib.Path(style.__file__).parent.glob("*.py"):
        imports = [line for line in file.read_text().splitlines() if "import" in line.split()]
        assert not any("pyplot" in line or "pylab" in line for line in imports), file


def test_correlation_of_nothing_and_of_the_identity(tmp_path):
    path = tmp_path / "c.png"
    charts.correlation(path, np.zeros((16, 16)), np.eye(16))
    picture = pixels(path)
    bar = int(picture.shape[1] * 0.9)  # the colour bar is right of this
    rows, columns = where(path, style.DIVERGING(1.0)[:3])
    rows, columns = rows[columns < bar], columns[columns < bar]
    assert columns.min() > picture.shape[1] * 0.45  # nothing blue before training
    side = columns.max() - columns.min() + 1
    # 16 squares on the falling diagonal, a sixteenth of the matrix together.
    assert len(rows) == pytest.approx(side**2 / 16, rel=0.05)
    np.testing.assert_allclose(rows - rows.min(), columns - columns.min(), atol=side / 16 + 1)


def test_correlation_shows_a_part_of_a_large_matrix(tmp_path):
    c = np.zeros((300, 300))
    c[200:, 200:] = 1.0  # beyond what is shown
    charts.correlation(tmp_path / "c.png", c, c, most=100)
    blank = np.zeros((100, 100))
    charts.correlation(tmp_path / "blank.png", blank, blank)
    blue = style.DIVERGING(1.0)[:3]
    assert len(where(tmp_path / "c.png", blue)[0]) == len(where(tmp_path / "blank.png", blue)[0])


def test_spectrum_that_is_spread_stays_above_one_that_is_not(tmp_path):
    path = tmp_path / "s.png"
    steep, flat = 2.0 ** -np.arange(64), np.full(64, 1 / 64)
    charts.spectrum(path, steep / steep.sum(), flat)
    width = pixels(path).shape[1]
    grey, blue = (where(path, color, 1.12, 3.9) for color in (style.GREY, style.BLUE))
    assert blue[1].max() > 0.9 * width  # all 64 directions carry variance
    assert grey[1].max() < 0.5 * width  # 2^-20 is below the floor
    assert grey[0].max() > blue[0].max()


def test_results_put_the_better_features_to_the_right(tmp_path):
    path = tmp_path / "r.png"
    record = lambda kind, top1: {  # noqa: E731
        "features": kind,
        "protocol": "linear_5",
        "top1": top1,
        "std": 0.0,
    }
    top1 = {"raw_pixels": 80.0, "untrained": 75.0, "trained": 90.0}
    charts.results(path, [record(kind, value) for kind, value in top1.items()])
    inside = 1.22, 1.95
    column = {kind: where(path, style.KIND[kind], *inside)[1].mean() for kind in top1}
    assert column["untrained"] < column["raw_pixels"] < column["trained"]
    step = column["raw_pixels"] - column["untrained"]
    assert column["trained"] - column["raw_pixels"] == pytest.approx(2 * step, rel=0.1)


def test_results_of_any_kind_and_protocol(tmp_path):
    records = [
        {"features": kind, "protocol": protocol, "top1": 50.0, "std": 1.0}
        for kind in "abcdef"
        for protocol in ("knn", "linear_20", "svm")
    ]
    charts.results(tmp_path / "r.png", records[:-1])  # one cell missing
    assert pixels(tmp_path / "r.png").shape[1] == style.WIDTH * style.DPI


def history(count, **terms):
    return [
        {"step": step, **{name: value(step) for name, value in terms.items()}}
        for step in range(count)
    ]


@pytest.mark.parametrize("count", [1, 2, 7, 500])
def test_losses_of_any_length(tmp_path, count):
    path = tmp_path / "l.png"
    curves.losses(path, history(count, loss=lambda s: 5 - s, lr=lambda s: 1.0), ["loss"])
    assert len(where(path, style.INK)[0]) > 500


def test_losses_fall_and_leave_gaps(tmp_path):
    path = tmp_path / "l.png"
    missing = range(40, 60)
    records = history(
        100, loss=lambda s: 1.0, invariance=lambda s: None if s in missing else 200.0 - s
    )
    del records[99]["loss"]
    curves.losses(path, records, ["invariance", "other"])
    rows, columns = where(path, style.BLUE)
    line = columns < pixels(path).shape[1] * 0.9  # the last value's label is right of this
    rows, columns = rows[line], columns[line]
    assert np.corrcoef(rows, columns)[0, 1] > 0.99  # a falling line: rows count from the top


def test_smoothing_keeps_a_straight_line(tmp_path):
    """A running mean that bends the ends would move the label away from the last value."""
    path = tmp_path / "l.png"
    curves.losses(path, history(1000, loss=lambda s: 1.0), ["loss"])
    rows, columns = where(path, style.INK)
    inside = (columns > 200) & (columns < 1300) & (rows > 200) & (rows < 480)
    assert np.ptp(rows[inside]) <= 6


def test_every_rate_has_a_panel_on_its_own_scale_with_its_peak(tmp_path):
    path = tmp_path / "r.png"
    records = history(101, big=lambda s: 1.0 - abs(s - 50) / 50, small=lambda s: 1e-3)
    del records[7]["big"]
    curves.rates(path, records, ["big", "small", "absent"])
    rows, columns = where(path, style.BLUE, 1.2, 3.1)
    half = pixels(path).shape[1] // 2
    big, small = rows[columns < half], rows[columns > half]
    assert np.ptp(big) > 240  # it fills its panel of 1.95 inches
    flat, count = np.unique(small, return_counts=True)
    assert count.max() > 500 and np.ptp(flat[count > 500]) <= 3  # a level line
    curves.rates(path, history(1, big=lambda s: 0.0), ["big"])


@pytest.mark.parametrize(
    ("draw", "message"),
    [
        (lambda p: charts.correlation(p, np.eye(3), np.eye(4)), r"\(3, 3\) and \(4, 4\)"),
        (lambda p: charts.correlation(p, np.ones((3, 4)), np.ones((3, 4))), "two square"),
        (lambda p: charts.correlation(p, np.ones(3), np.ones(3)), "two square"),
        (lambda p: charts.spectrum(p, np.ones(3), np.zeros(3)), "spectrum after training"),
        (lambda p: charts.results(p, []), "no results"),
        (lambda p: curves.losses(p, [{"step": 0, "loss": None}], ["loss"]), "no finite value"),
        (lambda p: curves.losses(p, [], ["loss"]), "no finite value"),
        (lambda p: curves.rates(p, [{"step": 0, "loss": 1.0}], ["lr"]), "no value of lr"),
    ],
)
def test_says_what_is_wrong(tmp_path, draw, message):
    with pytest.raises(ValueError, match=message):
        draw(tmp_path / "x.png")
