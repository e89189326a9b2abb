"""Writes one HTML file that holds a run's pictures, table and config."""

import base64
import functools
import html
import json
import pathlib
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from numpy.typing import ArrayLike

from jax_bt.evaluate import cells
from jax_bt.report import charts, curves, maps, pairs, sheets, style, table

NAME = "index.html"
TERMS = ("loss", "invariance", "variance", "covariance", "redundancy")
ALT = {
    "results": "Accuracy of every kind of features under every protocol",
    "losses": "The loss and its terms over the steps",
    "rates": "The learning rates over the steps",
    "correlation": "Cross-correlation of the two views' embeddings before and after training",
    "spectrum": "Share of variance along each principal direction before and after training",
    "map": "Test images as points by their features: principal components and t-SNE",
    "views": "Augmented views of some images",
    "neighbours": "Test images and their nearest training images",
}
CAPTIONS = {
    "results": "The same kNN and linear probes on every kind of features. With few labels a class "
    "the features have to do the work: that is where pretraining shows.",
    "losses": "Each term on its own scale. Dashed: the loss of identical views, of independent "
    "views and of embeddings that are all one point, at this batch and width.",
    "rates": "Each on its own scale, as the schedule set it at the written steps.",
    "correlation": "Rows are dimensions of the first view's embedding, columns of the second's. "
    "A blue diagonal says that both views of an image agree; white elsewhere says that each "
    "dimension tells something the others do not.",
    "spectrum": "The dot marks where 90 % of the variance is reached. A line that drops at once is "
    "a collapse: all images along a few directions.",
    "map": "On the left the plane of the largest variance; on the right t-SNE, which keeps "
    "neighbours together, while distances between groups mean nothing. Groups of one colour say "
    "that the features separate the classes, of which training knew nothing.",
    "views": "Random crops, shifts and colours of one image. What differs between them is what the "
    "encoder learns to ignore.",
    "neighbours": "No label took part in training; whether they agree shows what the encoder "
    "considers alike.",
}


def write(
    workdir: style.Path,
    *,
    history: Sequence[Mapping[str, Any]] = (),
    terms: Sequence[str] | None = None,
    correlations: tuple[ArrayLike, ArrayLike] | None = None,
    spectra: tuple[ArrayLike, ArrayLike] | None = None,
    views: Sequence[ArrayLike] | None = None,
    neighbours: Mapping[str, Any] | None = None,
    feature_map: Mapping[str, Any] | None = None,
    rates: Sequence[str] = (),
    results: Sequence[Mapping[str, Any]] | None = None,
    levels: Mapping[str, float] | None = None,
    summary: Mapping[str, Any] | None = None,
    config: Mapping[str, Any] | None = None,
    mean: ArrayLike = 0.0,
    std: ArrayLike = 1.0,
) -> pathlib.Path:
    """Draws a run's pictures as PNGs into ``<workdir>/report`` and a page that shows them.

    What is not given is left out of the page, and so is what an earlier report left behind.

    Args:
      workdir: directory of the run.
      history: records of metrics.jsonl (``history.read``).
      terms: loss terms to draw; None takes loss, invariance, variance, covariance, redundancy.
      correlations: (before, after) training, each (D, D) of two views' embeddings.
      spectra: (before, after), each a vector of ``diagnostics.spectrum``.
      views: one (N, S, S, C) array per view, normalised.
      neighbours: keyword arguments of ``report.sheets.neighbours``, images normalised.
      feature_map: keyword arguments of ``report.maps.feature_map``, images normalised.
      rates: names of the learning rates in the history.
      results: records of ``evaluate.compare``; None takes those of the summary.
      levels: losses to compare with, by name (``train.levels``).
      summary: what summary.json holds.
      config: of the run, as nested dicts.
      mean: per channel, with ``std`` undoes the images' normalisation for display.
      std: per channel.

    Returns:
      Path of the page.

    A picture that cannot be drawn is left out with a warning.
    """
    summary = summary or {}
    results = summary.get("results", ()) if results is None else results
    folder = pathlib.Path(workdir) / "report"
    folder.mkdir(parents=True, exist_ok=True)
    for name in CAPTIONS:
        (folder / f"{name}.png").unlink(missing_ok=True)

    if terms is None:
        terms = [term for term in TERMS if any(term in record for record in history)]
    drawn = {
        "results": results and functools.partial(charts.results, records=results),
        "losses": history
        and terms
        and functools.partial(curves.losses, history=history, terms=terms, levels=levels),
        "rates": history and rates and _with(curves.rates, history, rates),
        "correlation": correlations and _with(charts.correlation, *correlations),
        "spectrum": spectra and _with(charts.spectrum, *spectra),
        "map": feature_map
        and functools.partial(maps.feature_map, **feature_map, mean=mean, std=std),
        "views": views and functools.partial(sheets.contact_sheet, views=views, mean=mean, std=std),
        "neighbours": neighbours
        and functools.partial(sheets.neighbours, **neighbours, mean=mean, std=std),
    }
    for name, draw in drawn.items():
        if not draw:
            continue
        try:
            draw(folder / f"{name}.png")
        except ValueError as error:  # a run that diverged: what can be drawn is drawn
            warnings.warn(f"report: {name} cannot be drawn: {error}", stacklevel=2)

    page = folder / NAME
    page.write_text(_page(folder, results, summary, config or {}), encoding="utf-8")
    return page


def _with(draw: Callable[..., None], *arrays: Any) -> Callable[[pathlib.Path], None]:
    return lambda path: draw(path, *arrays)


def _page(
    folder: pathlib.Path,
    results: Sequence[Mapping[str, Any]],
    summary: Mapping[str, Any],
    config: Mapping[str, Any],
) -> str:
    names = [str(summary[key]) for key in ("method", "dataset") if summary.get(key)]
    heading = html.escape(" on ".join(names).replace("_", " ") or "Report")
    parts = [_facts(summary)]
    if results:
        parts.append(_table(results))
    if kept := summary.get("checkpoints"):
        parts.append(_checkpoints(kept))
    if found := summary.get("retrieval"):
        parts.append(pairs.pair_table(found))
    for name, caption in CAPTIONS.items():
        picture = folder / f"{name}.png"
        if picture.exists():
            parts.append(figure(picture, caption, alt=ALT[name]))
    if config:
        text = html.escape(json.dumps(config, indent=2, default=str))
        parts.append(f"<details><summary>Config</summary><pre>{text}</pre></details>")
    return document(heading, parts)


def figure(picture: pathlib.Path, caption: str, *, alt: str) -> str:
    """A PNG inside the page, with words below, and with other words for those who cannot see it."""
    data = base64.b64encode(picture.read_bytes()).decode("ascii")
    return (
        f'<figure><img alt="{html.escape(alt)}" src="data:image/png;base64,{data}">'
        f"<figcaption>{html.escape(caption)}</figcaption></figure>"
    )


def document(heading: str, parts: Sequence[str]) -> str:
    """A whole page of its parts; empty ones are left out."""
    body = "\n".join(part for part in (f"<h1>{heading}</h1>", *parts) if part)
    return (
        f'<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{heading}</title>\n<style>{CSS}</style>\n</head>\n<body>\n{body}\n</body>\n</html>\n"
    )


def _facts(summary: Mapping[str, Any]) -> str:
    facts = []
    if summary.get("steps") is not None:
        facts.append(("steps", f"{summary['steps']:,}"))
    if summary.get("seconds") is not None:
        facts.append(("training time", _duration(summary["seconds"])))
    if summary.get("images_per_second"):
        facts.append(("images per second", f"{summary['images_per_second']:,.0f}"))
    for name, value in (summary.get("final_loss") or {}).items():
        text = "not finite" if value is None else f"{value:,.4g}"
        facts.append((f"final {name}" if name == "loss" else name, text))
    cells = "".join(
        f"<div><dt>{html.escape(name)}</dt><dd>{html.escape(text)}</dd></div>"
        for name, text in facts
    )
    return f"<dl>{cells}</dl>" if cells else ""


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 1:
        return f"{rest} s"
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def _table(results: Sequence[Mapping[str, Any]]) -> str:
    kinds = list(dict.fromkeys(result["features"] for result in results))
    protocols = list(dict.fromkeys(result["protocol"] for result in results))
    best = set()
    for column, protocol in enumerate(protocols, start=1):
        scores = {
            kinds.index(r["features"]): r["top1"]
            for r in results
            if r["protocol"] == protocol and r["top1"] is not None
        }
        best |= {(line, column) for line, top1 in scores.items() if top1 == max(scores.values())}
    made = table.html_table(
        cells(results),
        caption="Top-1 accuracy in percent on the test set; mean ± standard deviation over draws "
        "where labels are few; the best of each column in bold",
        best=best,
        colors=[style.KIND.get(kind, style.INK) for kind in kinds],
    )
    return f'<div class="wide">{made}</div>'


def checkpoint_cells(records: Sequence[Mapping[str, Any]]) -> list[list[str]]:
    """Scores of the kept checkpoints as the cells of a table; what each score chooses is starred.

    Args:
      records: {"step", "rankme", "knn_top1" where there are labels} each.
    """
    columns = {"rankme": "RankMe", "knn_top1": "kNN, k = 20, %"}
    columns = {key: title for key, title in columns.items() if key in records[0]}
    best = {key: max(record[key] for record in records) for key in columns}
    rows = [["checkpoint", *columns.values()]]
    for record in records:
        marks = {key: " *" if record[key] == best[key] else "  " for key in columns}
        rows.append([str(record["step"]), *(f"{record[k]:.1f}{marks[k]}" for k in columns)])
    return rows


def _checkpoints(records: Sequence[Mapping[str, Any]]) -> str:
    made = table.html_table(
        checkpoint_cells(records),
        caption="The kept checkpoints by step, on a part of the data; * marks what each would "
        "choose. RankMe counts the directions that features use and needs no label.",
    )
    return f'<div class="wide">{made}</div>'


CSS = f"""
:root {{ color-scheme: light; }}
body {{ margin: 0 auto; padding: 2.5rem 1.25rem 4rem; max-width: 60rem; background: #f4f6f8;
  color: {style.INK}; font: 16px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; }}
h1 {{ margin: 0 0 1.25rem; font-size: 1.9rem; line-height: 1.2; }}
h1::first-letter {{ text-transform: uppercase; }}
dl {{ display: grid; grid-template-columns: repeat(auto-fit, minmax(8.2rem, 1fr)); gap: .75rem;
  margin: 0 0 1.25rem; }}
dl div, figure, .wide, details {{ background: #fff; border: 1px solid {style.RULE};
  border-radius: 10px; }}
dl div {{ padding: .7rem .9rem; }}
dt {{ color: {style.MUTED}; font-size: .8rem; }}
dd {{ margin: 0; font-size: 1.25rem; font-weight: 650; white-space: nowrap;
  font-variant-numeric: tabular-nums; }}
.wide {{ overflow-x: auto; margin: 0 0 1.25rem; padding: 1rem 1.2rem; }}
table {{ border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }}
caption {{ caption-side: bottom; padding-top: .7rem; text-align: left; color: {style.MUTED};
  font-size: .85rem; }}
th, td {{ padding: .45rem .6rem; text-align: right; white-space: nowrap; }}
thead th {{ color: {style.MUTED}; font-size: .85rem; font-weight: 500; }}
tbody tr {{ border-top: 1px solid {style.RULE}; }}
th:first-child {{ text-align: left; }}
.best {{ font-weight: 700; }}
figure {{ margin: 0 0 1.25rem; padding: .6rem; }}
img {{ display: block; width: 100%; height: auto; }}
figcaption {{ padding: 0 3.1% .9rem; color: {style.MUTED}; font-size: .9rem;
  max-width: 46rem; }}
details {{ padding: .8rem 1.2rem; }}
summary {{ cursor: pointer; font-weight: 600; }}
pre {{ overflow-x: auto; font-size: .8rem; }}
"""
