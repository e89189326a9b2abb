"""Writes results.json, table.md and figure.png of a table."""

import json
import pathlib
import re
import statistics
from collections.abc import Sequence
from typing import Any

from jax_bt import evaluate
from jax_bt.report import table
from suite import figures
from suite.declaration import SCALES, Table

RESULTS, TABLE, FIGURE = "results.json", "table.md", "figure.png"
BASELINES = ("chance", "raw_pixels", "untrained")
CONFIG = '''"""{name}, made from {made_from}.py."""

from jax_bt import config

RECORD = {record!r}


def get_config(arg: str = ""):
    return config.sized(config.of_record(RECORD), arg)
'''

Results = list[dict[str, Any]]


def read(folder: pathlib.Path) -> Results:
    """The results of earlier calls; nothing without a file."""
    path = folder / RESULTS
    return json.loads(path.read_text())["runs"] if path.exists() else []


def write(declared: Table, scale: str, results: Results, folder: pathlib.Path) -> None:
    """Writes all files anew."""
    order = [row.name for row in declared.rows]
    results = [r for r in results if r["row"] in order]
    results.sort(key=lambda r: (order.index(r["row"]), r["seed"]))
    lines = ",\n".join(f"    {json.dumps(r)}" for r in results)
    text = (
        f'{{\n  "table": "{declared.name}",\n  "scale": "{scale}",\n  "runs": [\n{lines}\n  ]\n}}\n'
    )
    (folder / RESULTS).write_text(text)
    figure = f"![{declared.title}]({FIGURE})\n\n" if declared.plot else ""
    rows = table.markdown(cells(declared, scale, results))
    (folder / TABLE).write_text(f"# {declared.title}\n\nScale `{scale}`.\n\n{figure}{rows}\n")
    if declared.plot:
        figures.draw(declared, results, folder / FIGURE)


def cells(declared: Table, scale: str, results: Results) -> list[list[str]]:
    """The table: mean ± sample standard deviation over n seeds, beside what was published."""
    metrics = SCALES[scale].metrics
    published = [f"published {name}" for name in declared.published]
    if published:
        published[0] += f" ({declared.setting})"
    head = ["", *map(evaluate.title, metrics), "effective rank", "n", "collapse", "seconds"]
    lines = [[*head, *published]]
    for kind in BASELINES:
        found = [r["scores"][kind] for r in results if kind in r["scores"]]
        if found:
            scores = [spread([f[metric] for f in found]) for metric in metrics]
            rest = ["", str(len(found)), "", "", *[""] * len(published)]
            lines.append([evaluate.title(kind), *scores, *rest])
    for row in declared.at(scale):
        runs = [r for r in results if r["row"] == row.name]
        trained = [r["scores"]["trained"] for r in runs if "trained" in r["scores"]]
        ranks = [r["effective_rank"]["representation"] for r in runs if "effective_rank" in r]
        seconds = [r["seconds"] for r in runs if "seconds" in r]
        verdicts = sorted({r["collapse"] for r in runs} - {"none"})
        numbers = [f"{n:g}" if isinstance(n, float | int) else n for n in row.published]
        lines.append(
            [
                row.name,
                *(spread([scores[metric] for scores in trained]) for metric in metrics),
                spread([rank for rank in ranks if rank is not None]),
                str(len(runs)) if runs else "",
                ", ".join(verdicts),
                f"{statistics.fmean(seconds):.0f}" if seconds else "",
                *numbers,
                *[""] * (len(published) - len(numbers)),
            ]
        )
    return lines


def spread(values: Sequence[float]) -> str:
    """93.1 ± 0.4 (sample standard deviation), or the number alone of a single run."""
    if not values:
        return ""
    deviation = f" ± {statistics.stdev(values):.1f}" if len(values) > 1 else ""
    return f"{statistics.fmean(values):.1f}{deviation}"


def slug(name: str) -> str:
    """A file's name: "no BN, no norm" is "no_bn_no_norm"."""
    return re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")
