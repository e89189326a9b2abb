"""Draws the loss and its terms over the steps."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, MaxNLocator

from jax_bt.report import style


def losses(
    path: style.Path,
    history: Sequence[Mapping[str, Any]],
    terms: Sequence[str],
    levels: Mapping[str, float] | None = None,
) -> None:
    """Draws every loss term over the steps, one panel per term: their sizes differ by thousands.

    Args:
      path: of the PNG.
      history: records with "step" and the terms; None or a missing term leaves a gap.
      terms: names to draw, at least one of which has a finite value.
      levels: values of the loss to compare with, by name, drawn as lines in its panel.

    Raises:
      ValueError: nothing finite to draw.
    """
    steps = np.array([record["step"] for record in history], float)
    curves = {term: np.array([_or_nan(record.get(term)) for record in history]) for term in terms}
    curves = {term: values for term, values in curves.items() if np.isfinite(values).any()}
    if not curves:
        raise ValueError(f"the history has no finite value of {', '.join(terms) or 'no term'}")
    columns = min(len(curves), 3)
    rows = -(-len(curves) // columns)
    panel = (style.WIDTH - 2 * style.MARGIN - 0.35 - 0.75 * (columns - 1) - 0.4) / columns
    figure = style.figure_with(
        1.0 + 2.75 * rows,
        "Loss terms",
        "over the steps of training: each written value, and the running mean",
    )
    for i, (term, values) in enumerate(curves.items()):
        left = style.MARGIN + 0.35 + (i % columns) * (panel + 0.75)
        axes = style.axes_at(figure, left, 1.2 + 2.75 * (i // columns), panel, 1.95)
        axes.set_title(term, loc="left", size=10.5, weight="bold", color=style.INK, pad=7)
        _curve(axes, steps, values, style.INK if term == "loss" else style.BLUE)
        if term == "loss" and levels:
            _levels(axes, levels)
    style.save(figure, path)


def _curve(axes: Axes, steps: np.ndarray, values: np.ndarray, color: str) -> None:
    finite = np.isfinite(values)
    window = max(1, int(finite.sum()) // 40)
    if window > 1:
        axes.plot(steps, values, color=color, lw=0.8, alpha=0.28)
        known, at = values[finite], steps[finite]
        # A mean over the neighbourhood. It shrinks to a point at the steep beginning and becomes
        # one-sided at the end, whose last value alone would be chance.
        sums = np.concatenate([[0.0], np.cumsum(known)])
        index = np.arange(len(known))
        first = index - np.minimum(index, window)
        end = np.minimum(index + np.minimum(index, window) + 1, len(known))
        smooth = (sums[end] - sums[first]) / (end - first)
        axes.plot(at, smooth, color=color, lw=2)
        last = smooth[-1]
    else:
        axes.plot(steps, values, color=color, lw=2, marker="o" if finite.sum() < 3 else None)
        last = values[finite][-1]
    low, high = values[finite].min(), values[finite].max()
    if low > 0 and high > 10 * low:
        axes.set_yscale("log")
        style.plain_log(axes)
    else:
        axes.yaxis.set_major_locator(MaxNLocator(4))
        axes.yaxis.set_major_formatter(FuncFormatter(lambda y, _: f"{y:,.6g}"))
    axes.annotate(
        f"{last:#.3g}" if abs(last) < 1000 else f"{last:,.0f}",
        (steps[finite][-1], last),
        xytext=(5, 0),
        textcoords="offset points",
        va="center",
        color=color,
        weight="bold",
        size=9,
        annotation_clip=False,
    )
    axes.set_xlim(steps.min(), max(steps.max(), steps.min() + 1))
    axes.xaxis.set_major_locator(MaxNLocator(4, integer=True))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:,.0f}"))
    axes.set_xlabel("step", color=style.MUTED, size=9)


def _levels(axes: Axes, levels: Mapping[str, float]) -> None:
    """Lines at the losses of embeddings that are identical, independent or collapsed."""
    low, high = axes.get_ylim()
    if axes.get_yscale() == "linear" and 0 < 10 * min(low, *levels.values()) < max(levels.values()):
        axes.set_yscale("log")
        style.plain_log(axes)
    log = axes.get_yscale() == "log"
    levels = {name: value for name, value in levels.items() if value > 0 or not log}
    low, high = min([low, *levels.values()]), max([high, *levels.values()])
    room = (high / low) ** 0.05 if log else 1.0
    axes.set_ylim(low / room, high * room)
    for name, value in levels.items():
        axes.axhline(value, color=style.MUTED, lw=0.8, ls=(0, (4, 3)))
        axes.text(
            0.99,
            value,
            name,
            transform=axes.get_yaxis_transform(),
            ha="right",
            va="bottom",
            size=7.5,
            color=style.MUTED,
        )


def _or_nan(value: Any) -> float:
    return float("nan") if value is None else float(value)
