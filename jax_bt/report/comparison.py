"""Writes one page that puts runs beside each other: probes, curves, cost, and what differs."""

import dataclasses
import itertools
import math
import pathlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, MaxNLocator
from scipy import stats

from jax_bt.evaluate import percent, title
from jax_bt.report import page, style, table

RANK = "collapse/{}_effective_rank"
# Curves that mean the same for every method, by the name in metrics.jsonl.
CURVES = {
    "loss": "loss",
    "online_top1": "linear classifier beside the encoder, top-1 %",
    "knn_top1": "kNN while training, top-1 %",
    RANK.format("representation"): "effective rank of the representations",
    RANK.format("embedding"): "effective rank of the embeddings",
}
COLORS = (style.BLUE, style.ORANGE, *style.SPARE, style.GREY, style.INK)
DASHES = ("-", (0, (4, 1.5)), (0, (1, 1.2)))  # tells groups of the same colour apart


@dataclasses.dataclass(frozen=True)
class Entry:
    """One run.

    Attributes:
      folder: of the run.
      fields: its config by dotted names.
      history: records of metrics.jsonl.
      results: of the trained encoder, by protocol.
      finished: whether it has been evaluated.
      seconds: of training, with compilation.
      images_per_second: without compilation.
      collapse: verdict at the end.
    """

    folder: str
    fields: Mapping[str, Any]
    history: Sequence[Mapping[str, Any]]
    results: Mapping[str, Mapping[str, Any]]
    finished: bool
    seconds: float
    images_per_second: float
    collapse: str

    @property
    def images(self) -> int:
        """Images seen so far; each is seen in all of its views."""
        return (self.history[-1]["step"] + 1) * self.fields["batch_size"] if self.history else 0

    def last(self, name: str) -> float:
        """The newest value of a metric; NaN without one."""
        values = (record.get(name) for record in reversed(self.history))
        return next((float(value) for value in values if value is not None), math.nan)


@dataclasses.dataclass(frozen=True)
class Group:
    """Repetitions of one experiment, and the fields in which it differs from the others."""

    name: str
    entries: Sequence[Entry]
    differing: Mapping[str, Any]


def write(folder: style.Path, groups: Sequence[Group]) -> pathlib.Path:
    """Writes ``<folder>/index.html`` and its picture.

    Args:
      folder: made if it is not there.
      groups: of runs; the first run of each gives its fields.

    Returns:
      Path of the page.
    """
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    drawn = draw(folder / "curves.png", groups)
    made = table.html_table(
        rows(groups),
        caption="Top-1 accuracy in percent on the test set. ± is the 95 % interval of the mean "
        "over seeds (Student's t); of a single run, the spread over draws of the labels. Effective "
        "rank: exp of the entropy of the spectrum, at the last step that measured it.",
        colors=[color for color, _ in _looks(groups)],
    )
    parts = [f'<div class="wide">{made}</div>']
    if drawn:
        parts.append(
            page.figure(
                folder / "curves.png",
                "Every line is one run, over the images seen so far; repetitions share colour and "
                "dashes.",
                alt="Curves of the runs over the images seen.",
            )
        )
    if groups[0].differing:
        differing = table.html_table(
            differences(groups), caption="Fields of the config that differ"
        )
        parts.append(f'<div class="wide">{differing}</div>')
    path = folder / page.NAME
    path.write_text(page.document("Comparison of runs", parts), encoding="utf-8")
    return path


def rows(groups: Sequence[Group]) -> list[list[str]]:
    """The main table: one line per group, headings first."""
    protocols = list(dict.fromkeys(p for g in groups for e in g.entries for p in e.results))
    head = ["", "seeds", *map(title, protocols), "effective rank", "collapse"]
    lines = [[*head, "images seen", "minutes", "images/s"]]
    for group in groups:
        entries = group.entries
        found = ["/".join(dict.fromkeys(entry.collapse for entry in entries))]
        lines.append(
            [
                group.name + ("" if all(e.finished for e in entries) else " (unfinished)"),
                str(len(entries)),
                *(_score([e.results[p] for e in entries if p in e.results]) for p in protocols),
                _mean(entries, lambda e: e.last(RANK.format("representation")), ".1f"),
                *found,
                _mean(entries, lambda e: e.images, ",.0f"),
                _mean(entries, lambda e: e.seconds / 60, ".1f"),
                _mean(entries, lambda e: e.images_per_second, ",.0f"),
            ]
        )
    return lines


def differences(groups: Sequence[Group]) -> list[list[str]]:
    """One line per field that differs, one column per group."""
    lines = [["field", *(group.name for group in groups)]]
    for field in groups[0].differing:
        lines.append([field, *(str(group.differing[field]) for group in groups)])
    return lines


def _score(results: Sequence[Mapping[str, Any]]) -> str:
    """ "94.1 ± 0.6": mean and 95 % interval over seeds; a single result as its own table has it."""
    if len(results) == 1:
        return percent(results[0])
    values = np.array([r["top1"] for r in results if r["top1"] is not None], float)
    if len(values) < 2:
        return "failed" if results else ""
    half = stats.t.ppf(0.975, len(values) - 1) * values.std(ddof=1) / math.sqrt(len(values))
    return f"{values.mean():.1f} ± {half:.1f}"


def _mean(entries: Sequence[Entry], value: Callable[[Entry], float], form: str) -> str:
    values = np.array([value(entry) for entry in entries], float)
    known = values[np.isfinite(values)]
    return format(known.mean(), form) if len(known) else ""


def _looks(groups: Sequence[Group]) -> list[tuple[str, Any]]:
    """Colour and dashes of each group: all colours as solid lines first."""
    looks = itertools.cycle((color, dash) for dash in DASHES for color in COLORS)
    return list(itertools.islice(looks, len(groups)))


def draw(path: style.Path, groups: Sequence[Group]) -> bool:
    """Draws what all methods have in common over the images seen; False if nothing is there.

    The loss is drawn if every run has the same method: losses of two methods have no common scale.
    """
    entries = [entry for group in groups for entry in group.entries]
    one_method = len({entry.fields["method"] for entry in entries}) == 1
    shown = [
        name
        for name in CURVES
        if any(math.isfinite(entry.last(name)) for entry in entries)
        and (name != "loss" or one_method)
    ]
    if not shown:
        return False
    lines = -(-len(shown) // 2)
    panel = (style.WIDTH - 2 * style.MARGIN - 1.3) / 2
    key = 0.26 * -(-len(groups) // 3)
    figure = style.figure_with(1.0 + key + 3.1 * lines, "Training", "one line per run")
    looks = _looks(groups)
    for i, (group, (color, dash)) in enumerate(zip(groups, looks, strict=True)):
        left = (style.MARGIN + (i % 3) * (style.WIDTH - 2 * style.MARGIN) / 3) / style.WIDTH
        right = left + 0.3 / style.WIDTH
        y = 1 - (1.0 + 0.26 * (i // 3)) / figure.get_figheight()
        figure.add_artist(Line2D((left, right), (y, y), color=color, ls=dash, lw=1.4))
        figure.text(
            right + 0.08 / style.WIDTH,
            y,
            group.name,
            color=color,
            size=9.5,
            weight="bold",
            va="center_baseline",
        )
    for i, name in enumerate(shown):
        left = style.MARGIN + 0.45 + (i % 2) * (panel + 0.75)
        axes = style.axes_at(figure, left, 1.45 + key + 3.1 * (i // 2), panel, 2.15)
        axes.set_title(CURVES[name], loc="left", size=10, weight="bold", color=style.INK, pad=7)
        for group, (color, dash) in zip(groups, looks, strict=True):
            for entry in group.entries:
                batch = entry.fields["batch_size"]
                points = [
                    ((record["step"] + 1) * batch, record[name])
                    for record in entry.history
                    if record.get(name) is not None
                ]
                if points:
                    alone = "o" if len(points) == 1 else None
                    look = {"color": color, "ls": dash, "marker": alone}
                    axes.plot(*zip(*points, strict=True), lw=1.4, alpha=0.85, **look)
        low, high = axes.get_ylim()
        if name == "loss" and low > 0 and high > 10 * low:
            axes.set_yscale("log")
            style.plain_log(axes)
        axes.xaxis.set_major_locator(MaxNLocator(4))
        axes.xaxis.set_major_formatter(FuncFormatter(_images))
        axes.set_xlabel("images seen", color=style.MUTED, size=9)
    style.save(figure, path)
    return True


def _images(x: float, _: int) -> str:
    return f"{x / 1e6:g} M" if x >= 1e6 else f"{x:,.0f}"
