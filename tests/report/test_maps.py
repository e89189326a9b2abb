"""The map of features, read back as pixels."""

import numpy as np
import pytest
from matplotlib.colors import to_rgb
from matplotlib.image import imread

from jax_bt.report import maps, style


def layout(places, shown=(), color=0.5):
    images = np.full((len(shown), 8, 8, 3), color, np.float32)
    return maps.Layout("a note", np.asarray(places, float), np.asarray(shown, int), images)


def where(path, color):
    picture = imread(path)[..., :3]
    return np.nonzero(np.abs(picture - to_rgb(color)).max(axis=-1) < 0.02)


def blend(color):
    """A point's colour over white: its opacity is 0.75."""
    return 0.25 + 0.75 * np.array(to_rgb(color))


def test_points_lie_where_they_are_in_the_colours_of_their_labels(tmp_path):
    path, places = tmp_path / "m.png", [(0, 0), (10, 10), (10, 0)]
    maps.feature_map(path, {"PCA": layout(places)}, labels=[4, 9, 4], class_names="abcdefghij")
    below = (1.5 + maps.SIDE) * style.DPI  # the names, whose edges have all tints
    first, second = (np.array(where(path, blend(style.CLASSES[i])), float) for i in (0, 1))
    first, second = first[:, first[0] < below], second[:, second[0] < below]
    assert second[0].mean() < first[0].min()  # (10, 10) is above the two of class 4
    right = first[1] > first[1].mean()
    assert second[1].mean() == pytest.approx(first[1][right].mean(), abs=1.5)
    named = [where(path, style.CLASSES[i]) for i in (0, 1)]  # opaque
    assert all(rows.min() > below and len(rows) > 50 for rows, _ in named)
    assert len(where(path, style.CLASSES[2])[0]) == 0


def test_thumbnails_are_drawn_at_their_points_in_both_panels(tmp_path):
    path, red = tmp_path / "m.png", (1.0, 0.0, 0.0)
    layouts = {
        name: layout([(0, 0), (1, 1)], [1])._replace(images=np.full((1, 4, 4, 3), red))
        for name in ("PCA", "t-SNE")
    }
    maps.feature_map(path, layouts)
    rows, columns = where(path, red)
    side = maps.THUMBNAIL * style.DPI
    assert len(rows) == pytest.approx(2 * side**2, rel=0.15)
    assert np.ptp(rows) < 1.2 * side  # at one height
    gap = (maps.SIDE + 0.3) * style.DPI
    left = columns < columns.mean()
    assert columns[~left].mean() - columns[left].mean() == pytest.approx(gap, abs=1.5)
    assert len(where(path, blend(style.BLUE))[0]) > 20  # a point without a label


def test_the_images_normalisation_is_undone(tmp_path):
    path = tmp_path / "m.png"
    maps.feature_map(path, {"PCA": layout([(0, 0), (1, 1)], [0], color=0.5)}, mean=0.5, std=0.4)
    assert len(where(path, (0.7, 0.7, 0.7))[0]) > 1000


def test_names_of_any_length_and_encoding(tmp_path):
    names = [f"a class with a long name {i}" for i in range(9)] + ["\udce9t\udce9"]
    places = np.random.default_rng(0).normal(size=(10, 2))
    path = tmp_path / "m.png"
    maps.feature_map(path, {"PCA": layout(places)}, labels=range(10), class_names=names)
    assert imread(path).shape[1] == style.WIDTH * style.DPI


def test_spread_takes_the_corners_and_never_a_point_twice():
    square = np.array([(0, 0), (0, 8), (8, 0), (8, 8), (4, 4), (4, 4), (4.5, 4), (4, 4.5)], float)
    assert set(maps.spread(square, 5)) in ({0, 1, 2, 3, 4}, {0, 1, 2, 3, 5})
    assert maps.spread(square, 5)[0] in (4, 5)  # the middle
    assert len(maps.spread(square, 100)) == 7  # two coincide


@pytest.mark.parametrize(
    ("layouts", "labels", "message"),
    [
        ({}, None, "one place per example"),
        ({"a": layout([(0, 0)]), "b": layout([(0, 0), (1, 1)])}, None, "one place per example"),
        ({"a": layout([(0, 0)])}, [1, 2], "one label or none"),
        ({"a": layout([(0, np.nan)])}, None, "no finite places"),
        ({"a": layout([(0, 0)] * 11)}, range(11), "11 classes, and colours for 10"),
    ],
)
def test_says_what_is_wrong(tmp_path, layouts, labels, message):
    with pytest.raises(ValueError, match=message):
        maps.feature_map(tmp_path / "m.png", layouts, labels=labels)
