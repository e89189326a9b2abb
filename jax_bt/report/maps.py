"""Draws features as points in the plane, with the images of some of them."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.offsetbox import AnnotationBbox, OffsetImage
from numpy.typing import ArrayLike

from jax_bt.report import style
from jax_bt.report.sheets import displayable

SIDE, THUMBNAIL = 4.35, 0.25  # inches: of a panel, of an image


class Layout(NamedTuple):
    """One panel of the map.

    Attributes:
      note: what the plane is, below the panel's name.
      places: (N, 2).
      shown: (K,) which of the N have their image drawn.
      images: (K, S, S, C) those images, normalised.
    """

    note: str
    places: np.ndarray
    shown: np.ndarray
    images: np.ndarray


def feature_map(
    path: style.Path,
    layouts: Mapping[str, Layout],
    *,
    labels: ArrayLike | None = None,
    class_names: Sequence[str] | None = None,
    subtitle: str = "each point is an image, near others that the encoder considers alike",
    mean: ArrayLike = 0.0,
    std: ArrayLike = 1.0,
) -> None:
    """Draws features in one plane or in two side by side.

    Args:
      path: of the PNG.
      layouts: by name, in their order.
      labels: (N,) integers of at most ``len(style.CLASSES)`` values, which colour the points.
      class_names: what to write for each label; the number unless given.
      subtitle: the line below the title.
      mean: per channel, undoes the images' normalisation with ``std``.
      std: per channel.

    Raises:
      ValueError: no layout, places that are not finite or do not fit the labels, or more classes
        than colours.
    """
    counts = {len(layout.places) for layout in layouts.values()}
    labels = None if labels is None else np.asarray(labels)
    if len(counts) != 1 or (labels is not None and counts != {len(labels)}):
        raise ValueError("one place per example is needed in every layout, and one label or none")
    if not all(np.isfinite(layout.places).all() for layout in layouts.values()):
        raise ValueError("the features have no finite places in the plane")
    classes = [] if labels is None else np.unique(labels).tolist()
    if len(classes) > len(style.CLASSES):
        raise ValueError(f"{len(classes)} classes, and colours for {len(style.CLASSES)}")
    colors = dict(zip(classes, style.CLASSES, strict=False))
    points = next(iter(counts))
    colored = [style.BLUE] * points if labels is None else [colors[y] for y in labels.tolist()]

    figure = style.figure_with(SIDE + 2.0, "Map of the features", subtitle)
    for i, (name, layout) in enumerate(layouts.items()):
        axes = style.axes_at(figure, style.MARGIN + i * (SIDE + 0.3), 1.5, SIDE, SIDE)
        axes.set(xticks=[], yticks=[])
        for spine in axes.spines.values():
            spine.set(visible=True, color=style.RULE)
        title = {"transform": axes.transAxes, "va": "bottom"}
        axes.text(0, 1.06, name, size=10.5, weight="bold", color=style.INK, **title)
        axes.text(0, 1.015, layout.note, size=8.5, color=style.MUTED, **title)
        axes.scatter(*layout.places.T, s=11, c=colored, alpha=0.75, lw=0)
        axes.margins(0.07)
        images = displayable(layout.images, mean, std)
        for place, image in zip(layout.shown, images, strict=True):
            _thumbnail(axes, layout.places[place], image, colored[place])
    names = [str(label) if class_names is None else class_names[label] for label in classes]
    _key(figure, [_text(name) for name in names], list(colors.values()))
    style.save(figure, path)


def spread(places: np.ndarray, count: int) -> np.ndarray:
    """Indices of up to ``count`` points far from each other, starting at the middle.

    Each next one is the farthest from those that were taken; two never coincide.
    """
    distance = np.linalg.norm(places - np.median(places, axis=0), axis=1)
    chosen = [int(np.argmin(distance))]
    distance = np.full(len(places), np.inf)
    while len(chosen) < count:
        distance = np.minimum(distance, np.linalg.norm(places - places[chosen[-1]], axis=1))
        if not distance.max() > 0:
            break
        chosen.append(int(np.argmax(distance)))
    return np.array(chosen)


def _thumbnail(axes: Axes, place: Sequence[float], image: np.ndarray, color: str) -> None:
    zoom = THUMBNAIL * 72 / len(image)  # pixels of the picture's points
    drawn = OffsetImage(image, zoom=zoom, interpolation="nearest" if len(image) < 40 else None)
    frame = {"edgecolor": color, "lw": 1.4, "facecolor": "white"}
    axes.add_artist(AnnotationBbox(drawn, (place[0], place[1]), pad=0.06, bboxprops=frame))


def _key(figure: Figure, names: Sequence[str], colors: Sequence[str]) -> None:
    """The names in their colours below the panels: a row of ten, or two of five long ones."""
    columns = 10 if max(map(len, names), default=0) < 9 else 5
    pitch = (style.WIDTH - 2 * style.MARGIN) / columns
    height = figure.get_figheight()
    for i, (name, color) in enumerate(zip(names, colors, strict=True)):
        name = name if len(name) < 24 else f"{name[:22]}…"
        x, y = style.MARGIN + (i % columns) * pitch, 1.5 + SIDE + 0.25 + i // columns * 0.24
        at = (x / style.WIDTH, 1 - y / height)
        figure.text(*at, f"● {name}", color=color, size=9.5, weight="bold", va="center")


def _text(name: str) -> str:
    return name.encode("utf-8", "replace").decode()  # names of another encoding
