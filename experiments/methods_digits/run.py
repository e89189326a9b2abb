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
import statistics
import sys

ROOT = pathlib.Path(__file__).parent.parent.parent
PROTOCOLS = ("knn", "linear", "linear_5")
BASELINES = ("raw_pixels", "untrained")


def train(name: str, seed: int, folder: pathlib.Path) -> dict:
    """One run of configs/<name>_digits.py; its summary."""
    from jax_bt.train import train

    config = runpy.run_path(str(ROOT / "configs" / f"{name}_digits.py"))["get_config"]()
    config.seed = seed
    config.evaluate.protocols = PROTOCOLS
    config.evaluate.baselines = True
    return train(config, folder)


def measured(summaries: dict[str, list[dict]]) -> dict[str, dict]:
    """Row name -> {"seconds": [...], protocol: [top-1 of each run]}; the baselines' of all runs."""
    rows: dict[str, dict] = {name: {} for name in BASELINES}
    for name, runs in summaries.items():
        rows[name] = {"seconds": [run["seconds"] for run in runs]}
        rows[name]["collapse"] = sorted({run["collapse"] for run in runs} - {"none"})
        for result in (result for run in runs for result in run["results"]):
            row = rows[result["features"] if result["features"] in BASELINES else name]
            row.setdefault(result["protocol"], []).append(result["top1"])
    return rows


def table(rows: dict[str, dict]) -> str:
    """Markdown: mean and sample standard deviation over seeds, top-1 in percent."""
    from jax_bt import evaluate
    from jax_bt.report import table

    lines = [["", *map(evaluate.title, PROTOCOLS), "seconds", "collapse"]]
    for name, row in rows.items():
        cells = [spread(row[protocol]) for protocol in PROTOCOLS]
        seconds = f"{statistics.fmean(row['seconds']):.0f}" if "seconds" in row else ""
        lines.append([evaluate.title(name), *cells, seconds, ", ".join(row.get("collapse", ()))])
    return table.markdown(lines)


def spread(values: list[float]) -> str:
    """93.1 ± 0.4 (sample standard deviation), or the number alone where all agree."""
    deviation = statistics.stdev(values) if len(values) > 1 else 0.0
    return f"{statistics.fmean(values):.1f}" + (f" ± {deviation:.1f}" if deviation else "")


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
