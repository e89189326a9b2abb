"""Draws augmented views, and test images beside their nearest training images."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from numpy.typing import ArrayLike

from jax_bt.report import style

GAP = 0.05  # inches between images that belong together


def contact_sheet(
    path: style.Path,
    views: Sequence[ArrayLike],
    *,
    mean: ArrayLike = 0.0,
    std: ArrayLike = 1.0,
    most: int = 12,
    subtitle: str = "one group per image: what the encoder is asked to see as the same",
) -> None:
    """Draws the views of some images, those of one image side by side.

    Smaller views (multi-crop) are stacked beside the large ones in their true relative size.

    Args:
      path: of the PNG.
      views: one (N, S, S, C) array per view; sizes S may differ.
      mean: per channel, added after multiplying by ``std``: undoes the normalisation.
      std: per channel.
      most: at most this many images are shown.
      subtitle: the line below the title.

    Raises:
      ValueError: no views, or views that do not hold the same images.
    """
    shown = [displayable(view, mean, std)[:most] for view in views]
    if not shown or len({len(view) for view in shown}) != 1 or not len(shown[0]):
        raise ValueError(
            f"views must be arrays over the same images, got {[np.shape(view) for view in views]}"
        )
    count = len(shown[0])
    places, names, width = _group([view.shape[1] for view in shown])

    room = style.WIDTH - 2 * style.MARGIN
    columns = min(count, max(1, round(room / (1.12 * width + 0.25))))
    unit = min(1.6, (room - 0.3 * (columns - 1)) / columns / width)
    rows = -(-count // columns)
    figure = style.figure_with(1.45 + rows * (unit + 0.16), "Views", subtitle)
    axes = _canvas(figure)
    for i in range(count):
        left = style.MARGIN + (i % columns) * (unit * width + 0.3)
        top = 1.25 + (i // columns) * (unit + 0.16)
        for view, (x, y, side) in zip(shown, places, strict=True):
            _image(axes, view[i], left + x * unit, top + y * unit, side * unit - GAP)
        if i < columns:
            for x, name in names:
                axes.text(left + x * unit, top - 0.06, name, size=8.5, color=style.MUTED)
    style.save(figure, path)


def neighbours(
    path: style.Path,
    queries: ArrayLike,
    found: ArrayLike,
    *,
    query_labels: ArrayLike | None = None,
    found_labels: ArrayLike | None = None,
    class_names: Sequence[str] | None = None,
    mean: ArrayLike = 0.0,
    std: ArrayLike = 1.0,
) -> None:
    """Draws test images, each with its nearest training images, framed by whether labels agree.

    Args:
      path: of the PNG.
      queries: (Q, S, S, C) test images.
      found: (Q, K, S, S, C) their neighbours, nearest first.
      query_labels: (Q,) integers; without labels nothing is framed.
      found_labels: (Q, K) integers.
      class_names: what to write for each label; the number unless given.
      mean: per channel, undoes the normalisation with ``std``.
      std: per channel.

    Raises:
      ValueError: shapes that do not fit.
    """
    queries, found = np.asarray(queries), np.asarray(found)
    if queries.ndim != 4 or found.ndim != 5 or len(queries) != len(found) or not found.size:
        raise ValueError(
            f"queries (Q, S, S, C) and found (Q, K, S, S, C) needed, got {queries.shape} and "
            f"{found.shape}"
        )
    number, k = found.shape[:2]
    labelled = query_labels is not None and found_labels is not None
    if labelled and (np.shape(query_labels), np.shape(found_labels)) != ((number,), (number, k)):
        raise ValueError(
            f"labels of shape ({number},) and ({number}, {k}) needed, got "
            f"{np.shape(query_labels)} and {np.shape(found_labels)}"
        )

    def name(label: int) -> str:
        text = class_names[label] if class_names is not None else str(label)
        return text.encode("utf-8", "replace").decode()  # names of another encoding

    queries = displayable(queries, mean, std)
    found = displayable(found.reshape(-1, *found.shape[2:]), mean, std)

    unit = min(1.2, (style.WIDTH - 2 * style.MARGIN - 0.3) / (k + 1))
    pitch = unit + (0.24 if labelled else 0.06)
    figure = style.figure_with(
        1.4 + number * pitch,
        "Nearest neighbours",
        "test images and the training images closest to them by cosine similarity of the features",
    )
    if labelled:
        entries = [("■ the same class", style.BLUE), ("■ another class", style.ORANGE)]
        style.legend(figure, entries)
    axes = _canvas(figure)
    axes.text(style.MARGIN, 1.13, "test image", size=8.5, color=style.MUTED)
    start = style.MARGIN + unit + 0.3
    axes.text(
        start, 1.13, "nearest in the training set, closest first", size=8.5, color=style.MUTED
    )
    for row in range(number):
        top = 1.2 + row * pitch
        for column in range(-1, k):
            left = style.MARGIN if column < 0 else start + column * unit
            image = queries[row] if column < 0 else found[row * k + column]
            side = unit - 2 * GAP
            if not labelled:
                _image(axes, image, left, top, side)
                continue
            label = query_labels[row] if column < 0 else found_labels[row][column]
            color = style.BLUE if label == query_labels[row] else style.ORANGE
            _image(axes, image, left, top, side, frame=color if column >= 0 else style.INK)
            axes.text(
                left + side / 2,
                top + side + 0.15,
                name(label),
                ha="center",
                size=8.5,
                color=style.INK if column < 0 else color,
                weight="bold" if column < 0 or label != query_labels[row] else "normal",
            )
    style.save(figure, path)


def displayable(images: ArrayLike, mean: ArrayLike = 0.0, std: ArrayLike = 1.0) -> np.ndarray:
    """Normalised images back in [0, 1] with three channels.

    Args:
      images: (N, H, W, C). Of more than three channels the first three are shown, of two their
        mean.
      mean: per channel.
      std: per channel.

    Returns:
      (N, H, W, 3) float32.

    Raises:
      ValueError: not a batch of images.
    """
    images = np.asarray(images)
    if images.ndim != 4:
        raise ValueError(f"images must be (N, H, W, C), got {images.shape}")
    images = np.clip(images.astype(np.float32) * std + mean, 0, 1).astype(np.float32)
    channels = images.shape[-1]
    images = images.mean(-1, keepdims=True) if channels == 2 else images[..., :3]
    return np.broadcast_to(images, (*images.shape[:3], 3))


def _group(sizes: Sequence[int]) -> tuple[list, list, float]:
    """Places of one image's views in units of the largest: (x, y, side), column names, width."""
    places, names, x = [], [], 0.0
    largest, row, side, small = max(sizes), 0, None, 0
    for i, size in enumerate(sizes):
        if size == largest:
            places.append((x, 0.0, 1.0))
            names.append((x, f"view {i + 1}"))
            x += 1.0
            row, side = 0, None
            continue
        if size != side or (row + 1) * size > largest:  # a new column of small views
            row, side = 0, size
            if not small:
                names.append((x, "small views"))
            small += 1
            x += size / largest
        places.append((x - size / largest, row * size / largest, size / largest))
        row += 1
    return places, names, x


def _canvas(figure: Figure) -> Axes:
    """Axes over the whole figure in inches from its top left corner."""
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_axis_off()
    axes.set(xlim=(0, style.WIDTH), ylim=(figure.get_figheight(), 0))
    return axes


def _image(
    axes: Axes, image: np.ndarray, left: float, top: float, side: float, frame: str | None = None
) -> None:
    limits = axes.get_xlim(), axes.get_ylim()
    axes.imshow(image, extent=(left, left + side, top + side, top), aspect="auto")
    axes.set(xlim=limits[0], ylim=limits[1])
    edge = frame or style.RULE
    width = 2.0 if frame else 0.6
    axes.add_patch(Rectangle((left, top), side, side, fill=False, edgecolor=edge, lw=width))
