"""Draws cross-correlations, spectra and accuracies, one PNG each."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.ticker import FuncFormatter, MaxNLocator
from numpy.typing import ArrayLike

from jax_bt.evaluate import title
from jax_bt.report import style


def correlation(path: style.Path, before: ArrayLike, after: ArrayLike, *, most: int = 128) -> None:
    """Draws the cross-correlation matrix of the two views' embeddings before and after training.

    Args:
      path: of the PNG.
      before: (D, D) correlations in [-1, 1].
      after: (D, D).
      most: of a larger matrix, the first ``most`` dimensions are shown; the numbers above are of
        all.

    Raises:
      ValueError: not two square matrices of one size.
    """
    pair = {
        "before training": np.asarray(before, float),
        "after training": np.asarray(after, float),
    }
    shapes = {c.shape for c in pair.values()}
    if len(shapes) != 1 or len(shape := shapes.pop()) != 2 or shape[0] != shape[1]:
        raise ValueError(
            f"two square matrices are needed, got {np.shape(before)} and {np.shape(after)}"
        )
    size = min(shape[0], most)
    part = f"the {size}" if size == shape[0] else f"the first {size} of {shape[0]:,}"
    side = (style.WIDTH - 2 * style.MARGIN - 0.3 - 0.75) / 2
    figure = style.figure_with(
        side + 1.95, "Cross-correlation of the two views", f"between {part} embedding dimensions"
    )
    for i, (name, c) in enumerate(pair.items()):
        axes = style.axes_at(figure, style.MARGIN + i * (side + 0.3), 1.55, side, side)
        axes.imshow(c[:size, :size], cmap=style.DIVERGING, vmin=-1, vmax=1, interpolation="nearest")
        axes.set(xticks=[], yticks=[])
        for spine in axes.spines.values():
            spine.set(visible=True, color=style.RULE)
        diagonal = np.mean(np.diag(c))
        others = np.mean(np.abs(c[~np.eye(len(c), dtype=bool)])) if len(c) > 1 else 0.0
        axes.text(
            0, 1.075, name, transform=axes.transAxes, size=10.5, weight="bold", color=style.INK
        )
        axes.text(
            0,
            1.025,
            f"diagonal {diagonal:.2f} on average, all others {others:.3f} in absolute value",
            transform=axes.transAxes,
            size=8.5,
            color=style.MUTED,
        )
    scale = style.axes_at(figure, style.WIDTH - style.MARGIN - 0.5, 1.55, 0.14, side)
    bar = figure.colorbar(ScalarMappable(Normalize(-1, 1), style.DIVERGING), cax=scale)
    bar.set_ticks([-1, -0.5, 0, 0.5, 1], labels=["−1", "−0.5", "0", "0.5", "1"])
    bar.ax.tick_params(length=0, labelsize=8.5, labelcolor=style.MUTED)
    bar.outline.set(edgecolor=style.RULE)
    style.save(figure, path)


def spectrum(path: style.Path, before: ArrayLike, after: ArrayLike) -> None:
    """Draws the share of variance along each principal direction before and after training.

    Args:
      path: of the PNG.
      before: (n,) shares, largest first, that sum to 1 (``diagnostics.spectrum``).
      after: (m,).

    Raises:
      ValueError: not vectors, or without any variance.
    """
    pair = {"before": (before, style.GREY), "after": (after, style.BLUE)}
    figure = style.figure_with(
        4.6, "Spectrum of the embeddings", "share of variance along each principal direction"
    )
    axes = style.axes_at(
        figure, style.MARGIN + 0.65, 1.1, style.WIDTH - 2 * style.MARGIN - 0.85, 2.85
    )
    lines, floor = [], 1e-6
    for name, (values, color) in pair.items():
        values = np.asarray(values, float)
        if values.ndim != 1 or not values.size or not np.nansum(values) > 0:
            raise ValueError(f"the spectrum {name} training is no vector of shares of variance")
        directions = np.arange(1, len(values) + 1)
        axes.plot(directions, np.where(values > floor, values, np.nan), color=color, lw=2.2)
        enough = 1 + int(np.searchsorted(np.cumsum(values), 0.9))
        enough = min(enough, len(values))
        axes.plot(
            enough, values[enough - 1], "o", color=color, ms=7, mec="white", mew=1.5, zorder=5
        )
        lines.append((name, color, enough))
    for i, (name, color, enough) in enumerate(lines):
        figure.text(
            1 - style.MARGIN / style.WIDTH,
            1 - (0.42 + 0.28 * i) / figure.get_figheight(),
            f"{name} training: 90 % of the variance in {enough} direction{'s' * (enough > 1)}",
            ha="right",
            va="center",
            color=color,
            weight="bold",
            size=10,
        )
    axes.set_yscale("log")
    axes.set_ylim(bottom=floor / 1.5)
    style.plain_log(axes, percent=True)
    axes.set_xlim(left=0)
    axes.set_xlabel("principal direction, in order of variance", color=style.MUTED, size=9)
    axes.xaxis.set_major_locator(MaxNLocator(8, integer=True))
    style.save(figure, path)


def results(path: style.Path, records: Sequence[Mapping[str, Any]]) -> None:
    """Draws the top-1 accuracy of every kind of features under every protocol, with its spread.

    Args:
      path: of the PNG.
      records: of ``evaluate.compare``.

    Raises:
      ValueError: no records.
    """
    records = [record for record in records if record["top1"] is not None]
    if not records:
        raise ValueError("no results to draw")
    protocols = list(dict.fromkeys(record["protocol"] for record in records))
    kinds = list(dict.fromkeys(record["features"] for record in records))
    spare = iter(style.SPARE)
    colors = {kind: style.KIND.get(kind) or next(spare, style.INK) for kind in kinds}
    pitch = 0.19 * len(kinds) + 0.22
    height = pitch * len(protocols)
    figure = style.figure_with(
        1.75 + height,
        "What the features are worth",
        "top-1 accuracy on the test set; bars: one standard deviation over draws of the labels",
    )
    axes = style.axes_at(
        figure, style.MARGIN + 1.45, 1.2, style.WIDTH - 2 * style.MARGIN - 1.95, height
    )
    for record in records:
        color, value = colors[record["features"]], record["top1"]
        spread = record.get("std") or 0.0
        lane = kinds.index(record["features"]) - (len(kinds) - 1) / 2
        y = protocols.index(record["protocol"]) + lane * 0.19 / pitch
        axes.plot([value - spread, value + spread], [y, y], color=color, lw=1.6, alpha=0.55)
        axes.plot(value, y, "o", color=color, ms=7.5, mec="white", mew=1.2, zorder=5)
        axes.annotate(
            f"{value:.1f}",
            (value + spread, y),
            xytext=(7, -0.5),
            textcoords="offset points",
            va="center",
            size=8.5,
            color=color,
            weight="bold" if record["features"] == kinds[-1] else "normal",
            bbox={"facecolor": "white", "edgecolor": "none", "pad": 1},
            annotation_clip=False,
        )
    for y in range(1, len(protocols)):
        axes.axhline(y - 0.5, color=style.RULE, lw=0.7)
    axes.set_ylim(len(protocols) - 0.5, -0.5)
    axes.set_yticks(range(len(protocols)), [title(p) for p in protocols])
    axes.tick_params(axis="y", labelsize=10, labelcolor=style.INK)
    axes.grid(False, axis="y")
    axes.spines["left"].set_visible(False)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:.0f} %"))
    style.legend(figure, [(f"● {title(kind)}", colors[kind]) for kind in kinds])
    style.save(figure, path)
