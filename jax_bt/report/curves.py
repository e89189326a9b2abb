"""Draws the loss, its terms and the learning rates over the steps."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
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
    figure, panels = _panels(
        curves, "Loss terms", "over the steps of training: each written value, and the running mean"
    )
    for axes, (term, values) in zip(panels, curves.items(), strict=True):
        _curve(axes, steps, values, style.INK if term == "loss" else style.BLUE)
        if term == "loss" and levels:
            _levels(axes, levels)
    style.save(figure, path)


def rates(path: style.Path, history: Sequence[Mapping[str, Any]], names: Sequence[str]) -> None:
    """Draws every learning rate over the steps, one panel per rate, with its peak.

    Args:
      path: of the PNG.
      history: records with "step" and the rates.
      names: of the rates; one that no record holds is left out.

    Raises:
      ValueError: no record holds any of them.
    """
    curves = {name: [r for r in history if r.get(name) is not None] for name in names}
    curves = {name: records for name, records in curves.items() if records}
    if not curves:
        raise ValueError(f"the history has no value of {', '.join(names) or 'no rate'}")
    figure, panels = _panels(
        curves, "Learning rates", "over the steps of training, and their peaks"
    )
    for axes, (name, records) in zip(panels, curves.items(), strict=True):
        steps, values = (np.array([r[key] for r in records], float) for key in ("step", name))
        axes.plot(steps, values, color=style.BLUE, lw=2)
        peak = int(np.argmax(values))
        axes.plot(steps[peak], values[peak], "o", color=style.BLUE, ms=7, mec="white", mew=1.5)
        axes.annotate(
            f"{values[peak]:.3g} at step {steps[peak]:,.0f}",
            (steps[peak], values[peak]),
            xytext=(8, 4),
            textcoords="offset points",
            color=style.BLUE,
            weight="bold",
            size=9,
        )
        axes.set_ylim(0, 1.15 * values[peak] or 1)
        axes.yaxis.set_major_locator(MaxNLocator(4))
        _over_steps(axes, steps)
    style.save(figure, path)


def _panels(names: Collection[str], title: str, subtitle: str) -> tuple[Figure, list[Axes]]:
    """A figure with one panel per name, up to three in a row."""
    columns = min(len(names), 3)
    rows = -(-len(names) // columns)
    panel = (style.WIDTH - 2 * style.MARGIN - 0.35 - 0.75 * (columns - 1) - 0.4) / columns
    figure, panels = style.figure_with(1.0 + 2.75 * rows, title, subtitle), []
    for i, name in enumerate(names):
        left = style.MARGIN + 0.35 + (i % columns) * (panel + 0.75)
        axes = style.axes_at(figure, left, 1.2 + 2.75 * (i // columns), panel, 1.95)
        axes.set_title(name, loc="left", size=10.5, weight="bold", color=style.INK, pad=7)
        panels.append(axes)
    return figure, panels


def _over_steps(axes: Axes, steps: np.ndarray) -> None:
    axes.set_xlim(steps.min(), max(steps.max(), steps.min() + 1))
    axes.xaxis.set_major_locator(MaxNLocator(4, integer=True))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:,.0f}"))
    axes.set_xlabel("step", color=style.MUTED, size=9)


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
    _over_steps(axes, steps)


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
