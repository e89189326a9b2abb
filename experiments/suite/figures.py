"""Draws the figure of a table: a metric over the rows, and curves of the log."""

import pathlib
import statistics
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from jax_bt import evaluate
from jax_bt.report import style
from suite.declaration import Plot, Row, Table

COLORS = (style.BLUE, style.ORANGE, *style.SPARE)
TOP, PANEL, LINE = 1.1, 2.8, 3.5  # inches: above the first panel, of a panel, between two

Results = Sequence[dict[str, Any]]


def draw(declared: Table, results: Results, path: pathlib.Path) -> None:
    """Writes the figure; rows without a run leave a gap."""
    plot = declared.plot
    assert plot is not None
    series: dict[str, list[Row]] = {}
    for row in declared.rows:
        if row.x is not None or plot.label is None:
            series.setdefault(row.series or row.name, []).append(row)
    looks = dict(zip(series, COLORS, strict=False))
    panels = len(plot.curves) + (plot.label is not None)
    subtitle = f"{evaluate.title(plot.metric)}, top-1 %" if plot.label else ""
    figure = style.figure_with(TOP + LINE * panels, declared.title, subtitle)
    if plot.label:
        axes = style.axes_at(figure, 0.8, TOP, style.WIDTH - 1.2, PANEL)
        for name, rows in series.items():
            points = best([(row.x, scores(results, row, plot.metric)) for row in rows])
            if points:
                x, mean, deviation = zip(*points, strict=True)
                axes.errorbar(x, mean, deviation, color=looks[name], marker="o", ms=4, capsize=3)
        _label(axes, plot)
    for i, (curve, title) in enumerate(plot.curves.items(), start=panels - len(plot.curves)):
        axes = style.axes_at(figure, 0.8, TOP + LINE * i, style.WIDTH - 1.2, PANEL)
        axes.set_title(title, loc="left", size=10, weight="bold", color=style.INK, pad=7)
        axes.set_xlabel("step", color=style.MUTED, size=9)
        for name, rows in series.items():
            longest = max(rows, key=lambda row: row.x or 0)
            for run in of(results, longest):
                if points := run.get("curves", {}).get(curve):
                    axes.plot(*np.transpose(points), color=looks[name], lw=1.4, alpha=0.85)
    style.legend(figure, list(looks.items()))
    style.save(figure, path)


def of(results: Results, row: Row) -> list[dict[str, Any]]:
    """The runs of a row."""
    return [run for run in results if run["row"] == row.name]


def scores(results: Results, row: Row, metric: str) -> list[float]:
    """The trained encoders' top-1 over the seeds of a row; diverged runs have none."""
    found = [run["scores"].get("trained", {}) for run in of(results, row)]
    return [given[metric] for given in found if metric in given]


def best(points: Sequence[tuple[float, list[float]]]) -> list[tuple[float, float, float]]:
    """Place, mean and sample standard deviation (0 of a single run), the best mean per place."""
    kept: dict[float, list[float]] = {}
    for x, values in points:
        if values and statistics.fmean(values) > statistics.fmean(kept.get(x, [float("-inf")])):
            kept[x] = values
    spread = {x: statistics.stdev(v) if len(v) > 1 else 0.0 for x, v in kept.items()}
    return [(x, statistics.fmean(kept[x]), spread[x]) for x in sorted(kept)]


def _label(axes: Axes, plot: Plot) -> None:
    if plot.log:
        axes.set_xscale("log", base=2)
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.set_xlabel(plot.label, color=style.MUTED, size=9)
