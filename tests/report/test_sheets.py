"""Contact sheets, read back as pixels: every image in its place, size and colour."""

import numpy as np
import pytest
from matplotlib.image import imread

from jax_bt import report
from jax_bt.report import sheets, style


def boxes(path, color):
    """Sizes in pixels of the filled squares of one colour, largest first."""
    from scipy import ndimage

    picture = imread(path)[..., :3]
    labels, _ = ndimage.label(np.abs(picture - color).max(axis=-1) < 0.01)
    found = [(s[0].stop - s[0].start, s[1].stop - s[1].start) for s in ndimage.find_objects(labels)]
    return sorted((size for size in found if min(size) > 8), reverse=True)


def plain(count, size, color):
    return np.broadcast_to(np.float32(color), (count, size, size, 3))


def test_pairs_lie_side_by_side(tmp_path):
    path = tmp_path / "v.png"
    red, green = (1, 0, 0), (0, 1, 0)
    report.contact_sheet(path, [plain(5, 32, red), plain(5, 32, green)])
    assert len(boxes(path, red)) == len(boxes(path, green)) == 5
    assert all(abs(height - width) <= 2 for height, width in boxes(path, red))


def test_small_views_keep_their_true_size(tmp_path):
    path = tmp_path / "v.png"
    red, blue = (1, 0, 0), (0, 0, 1)
    views = [plain(2, 224, red)] * 2 + [plain(2, 96, blue)] * 6
    report.contact_sheet(path, views)
    large, small = boxes(path, red), boxes(path, blue)
    assert (len(large), len(small)) == (4, 12)
    assert small[0][0] / large[0][0] == pytest.approx(96 / 224, abs=0.03)


def test_at_most_so_many_images_are_shown(tmp_path):
    path, red = tmp_path / "v.png", (1, 0, 0)
    report.contact_sheet(path, [plain(30, 8, red)] * 2, most=7, subtitle="x")
    assert len(boxes(path, red)) == 14


def test_normalisation_is_undone():
    mean, std = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
    images = np.random.default_rng(0).uniform(size=(3, 4, 4, 3)).astype(np.float32)
    shown = sheets.displayable((images - mean) / std, mean, std)
    np.testing.assert_allclose(shown, images, atol=1e-6)
    grey = sheets.displayable(np.full((1, 2, 2, 1), 7.0))
    assert grey.shape == (1, 2, 2, 3) and grey.max() == 1


def test_neighbours_are_framed_by_agreement(tmp_path):
    arguments = {
        "queries": plain(2, 8, 0.0),
        "found": np.broadcast_to(np.float32(0.0), (2, 3, 8, 8, 3)),
        "query_labels": np.array([0, 1]),
        "class_names": ["cat", "dog"],
    }
    blue, orange = ([int(c[i : i + 2], 16) / 255 for i in (1, 3, 5)] for c in
                    (style.BLUE, style.ORANGE))  # fmt: skip

    def amounts(labels):
        path = tmp_path / "n.png"
        sheets.neighbours(path, **arguments, found_labels=np.array(labels))
        body = imread(path)[180:, :, :3]  # below the legend
        return [int((np.abs(body - c).max(axis=-1) < 0.01).sum()) for c in (blue, orange)]

    all_right, none_wrong = amounts([[0, 0, 0], [1, 1, 1]])
    some_right, some_wrong = amounts([[0, 0, 0], [0, 0, 0]])
    assert none_wrong == 0 < some_wrong
    assert some_right == pytest.approx(all_right / 2, rel=0.1)


def test_neighbours_without_labels(tmp_path):
    sheets.neighbours(tmp_path / "n.png", plain(1, 8, (1, 0, 0)), plain(4, 8, (0, 1, 0))[None])
    assert len(boxes(tmp_path / "n.png", (1, 0, 0))) == 1
    assert len(boxes(tmp_path / "n.png", (0, 1, 0))) == 4


@pytest.mark.parametrize(
    ("draw", "message"),
    [
        (lambda p: report.contact_sheet(p, []), "over the same images"),
        (lambda p: report.contact_sheet(p, [plain(2, 8, 0), plain(3, 8, 0)]), r"\(3, 8, 8, 3\)"),
        (lambda p: report.contact_sheet(p, [np.ones((2, 8, 8))]), r"\(N, H, W, C\)"),
        (lambda p: sheets.neighbours(p, plain(2, 8, 0), plain(2, 8, 0)), "needed, got"),
        (
            lambda p: sheets.neighbours(
                p,
                plain(1, 8, 0),
                plain(4, 8, 0)[None],
                query_labels=[0],
                found_labels=[0, 0, 0, 0],
            ),
            r"\(1,\) and \(1, 4\) needed, got \(1,\) and \(4,\)",
        ),
    ],
)
def test_says_what_is_wrong(tmp_path, draw, message):
    with pytest.raises(ValueError, match=message):
        draw(tmp_path / "x.png")
