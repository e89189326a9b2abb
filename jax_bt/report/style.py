"""Defines the look of every picture: colours, type, and lengths in inches.

Matplotlib through its object-oriented interface: no pyplot, so no global figure list or style that
a notebook around would feel. Colours are safe for colour-blind readers and mean the same in every
picture: blue is the trained encoder and agreement, grey what training started from, orange raw
pixels and disagreement.
"""

import os
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

INK, MUTED, RULE = "#1d2733", "#667482", "#d8dee4"
BLUE, ORANGE, GREY = "#0b66b2", "#d9730d", "#8c98a4"
KIND = {"raw_pixels": ORANGE, "untrained": GREY, "trained": BLUE}
SPARE = ("#6a3d9a", "#117733", "#aa4466", "#44aa99")  # for other kinds of features
# Of classes, in the order of labels: P. Tol's muted scheme and one more.
CLASSES = (
    *("#332288", "#cc6677", "#117733", "#88ccee", "#ddcc77"),
    *("#aa4499", "#44aa99", "#882255", "#999933", "#667482"),
)
DIVERGING = LinearSegmentedColormap.from_list(
    "orange_white_blue", ["#7a3200", ORANGE, "#f6c9a0", "#ffffff", "#a9cdea", BLUE, "#06305a"]
)
DPI, WIDTH, MARGIN = 160, 9.6, 0.3  # the lengths in inches
TITLE, SUBTITLE = 0.42, 0.70  # inches from the top to the middle of the line

Path = str | os.PathLike[str]


def figure_with(height: float, title: str, subtitle: str) -> Figure:
    """A figure of the common width with its title and subtitle at the top left."""
    figure = Figure(figsize=(WIDTH, height), dpi=DPI, facecolor="white")
    x = MARGIN / WIDTH
    figure.text(x, 1 - TITLE / height, title, size=14, weight="bold", color=INK, va="center")
    figure.text(x, 1 - SUBTITLE / height, subtitle, size=10, color=MUTED, va="center")
    return figure


def legend(figure: Figure, entries: Sequence[tuple[str, str]]) -> None:
    """Coloured words at the top right: in the line of the title, or below if they would meet it."""
    height, x = figure.get_figheight(), WIDTH - MARGIN
    title = figure.texts[0].get_window_extent().x1 / DPI
    words = []
    for text, color in reversed(entries):
        words.append(
            figure.text(x / WIDTH, 0, text, color=color, size=10, weight="bold", ha="right")
        )
        x -= words[-1].get_window_extent().width / DPI + 0.3
    line = TITLE if x > title else SUBTITLE
    for word in words:
        word.set(y=1 - line / height, va="center")


def axes_at(figure: Figure, left: float, top: float, width: float, height: float) -> Axes:
    """Axes placed in inches from the figure's top left corner."""
    total = figure.get_figheight()
    place = (left / WIDTH, 1 - (top + height) / total, width / WIDTH, height / total)
    axes = figure.add_axes(place)
    axes.set_axisbelow(True)
    axes.grid(color=RULE, lw=0.7)
    axes.tick_params(length=0, labelsize=8.5, labelcolor=MUTED, pad=5)
    for side, spine in axes.spines.items():
        spine.set(visible=side in ("left", "bottom"), color=RULE)
    return axes


def plain_log(axes: Axes, percent: bool = False) -> None:
    """Labels a logarithmic y axis with numbers instead of powers."""
    low, high = axes.get_ylim()
    wide = np.log10(high / low) > 2.2
    axes.yaxis.set_major_locator(LogLocator(subs=(1,) if wide else (1, 2, 5), numticks=8))
    axes.yaxis.set_minor_locator(NullLocator())
    text = (lambda y, _: f"{100 * y:g} %") if percent else (lambda y, _: f"{y:,.6g}")
    axes.yaxis.set_major_formatter(FuncFormatter(text))


def save(figure: Figure, path: Path) -> None:
    """Writes the PNG; the same picture gives the same bytes whatever wrote it."""
    figure.savefig(path, format="png", metadata={"Software": None})
