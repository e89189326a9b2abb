"""Every method on the handwritten digits, several seeds, in one table.

python experiments/methods_digits/run.py

Interrupted, the same command goes on where it stopped; finished runs are not repeated. Writes
table.md and results.json beside the runs.
"""

import argparse
import json
import os
import pathlib
import runpy
import sys

ROOT = pathlib.Path(__file__).parent.parent.parent
COLUMNS = {"knn": "kNN", "linear": "linear", "linear_5": "5 labels a class"}
BASELINES = {"raw_pixels": "raw pixels", "untrained": "untrained encoder"}


def train(name: str, seed: int, folder: pathlib.Path) -> dict:
    """One run of configs/<name>_digits.py; its summary."""
    from jax_bt.train import train

    config = runpy.run_path(str(ROOT / "configs" / f"{name}_digits.py"))["get_config"]()
    config.seed = seed
    config.evaluate.protocols = tuple(COLUMNS)
    config.evaluate.baselines = True
    return train(config, folder)


def measured(summaries: dict[str, list[dict]]) -> dict[str, dict]:
    """Row name -> {"seconds": [...], protocol: [top-1 of each run]}; the baselines' of all runs."""
    rows: dict[str, dict] = {label: {} for label in BASELINES.values()}
    for name, runs in summaries.items():
        rows[name] = {"seconds": [run["seconds"] for run in runs]}
        rows[name]["collapse"] = sorted({run["collapse"] for run in runs} - {"none"})
        for result in (result for run in runs for result in run["results"]):
            row = rows[BASELINES.get(result["features"], name)]
            row.setdefault(result["protocol"], []).append(result["top1"])
    return rows


def table(rows: dict[str, dict]) -> str:
    """Markdown; mean and standard deviation over seeds."""
    lines = [["", *COLUMNS.values(), "seconds", "collapse"]]
    for name, row in rows.items():
        cells = [spread(row.get(key, ())) for key in COLUMNS]
        seconds = f"{mean(row['seconds']):.0f}" if "seconds" in row else ""
        lines.append([name, *cells, seconds, ", ".join(row.get("collapse", ()))])
    lines.insert(1, ["---"] * len(lines[0]))
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def mean(values) -> float:
    return sum(values) / len(values)


def spread(values) -> str:
    """93.1 ± 0.4 (sample standard deviation), or the number alone where all agree."""
    center = mean(values)
    deviation = (sum((v - center) ** 2 for v in values) / max(len(values) - 1, 1)) ** 0.5
    return f"{center:.1f} ± {deviation:.1f}" if deviation else f"{center:.1f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    known = sorted(p.stem.removesuffix("_digits") for p in ROOT.glob("configs/*_digits.py"))
    parser.add_argument("--methods", nargs="+", default=known, choices=known)
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--workdir", type=pathlib.Path, default=ROOT / "runs" / "methods_digits")
    args = parser.parse_args()
    # A method's runs compile the same step.
    os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(args.workdir / "compiled"))
    summaries: dict[str, list[dict]] = {}
    for seed in args.seeds:
        for name in args.methods:
            summary = train(name, seed, args.workdir / f"{name}_{seed}")
            summaries.setdefault(name, []).append(summary)
            rows = measured(summaries)
            (args.workdir / "results.json").write_text(json.dumps(rows, indent=2) + "\n")
            (args.workdir / "table.md").write_text(table(rows) + "\n")
    print(table(measured(summaries)))
    print(f"written to {args.workdir / 'table.md'}")


if __name__ == "__main__":
    try:
        main()
    except Exception as error:
        if not hasattr(error, "exit_code"):
            raise
        # Stopped, or a folder of another config; jax_bt.errors is not imported before the cache is.
        print(f"methods_digits: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
