"""The command line of every table: trains what is missing, then writes the table and its figure."""

import argparse
import contextlib
import hashlib
import json
import math
import multiprocessing
import os
import pathlib
import sys
import time
from collections.abc import Callable
from concurrent import futures
from typing import Any

import jax
import tqdm
from etils import epath
from ml_collections import ConfigDict

from jax_bt import config
from jax_bt.devices import cache
from jax_bt.devices.mesh import make_mesh
from jax_bt.errors import Diverged, Expected
from jax_bt.report import comparison, pairs
from jax_bt.train.build import build
from jax_bt.train.compare import compare, read
from jax_bt.train.loop import train as run
from suite import writer
from suite.declaration import CONFIGS, SCALES, Row, Table, config_of, identity

EXPERIMENTS = pathlib.Path(__file__).parents[1]


def main(table: Table) -> None:
    """Runs a table by the command line's options; a user's mistake ends in one line."""
    try:
        _main(table, _parsed(table))
    except KeyboardInterrupt:
        sys.exit(f"{table.name}: stopped; the same command goes on")
    except Expected as error:
        print(f"{table.name}: {error}", file=sys.stderr)
        sys.exit(error.exit_code)


def _parsed(table: Table) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=table.title)
    parser.add_argument("--scale", choices=table.scales, default=table.scales[0])
    parser.add_argument("--rows", nargs="+", metavar="ROW", help="by name; all without it")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--jobs", type=int, default=1, help="runs at the same time")
    parser.add_argument("--compare", action="store_true", help="write comparison/index.html too")
    parser.add_argument("--data_dir", help="where TFDS data sets are prepared")
    parser.add_argument("--smoke", action="store_true", help="toy size, to try the command")
    parser.add_argument("--workdir", type=pathlib.Path, help="of the runs; runs/experiments")
    parser.add_argument("--output", type=pathlib.Path, help="of the table; beside its run.py")
    args = parser.parse_args()
    known = [row.name for row in table.at(args.scale)]
    for name in args.rows or ():
        if name not in known:
            parser.error(f"--rows: {name!r} is not one of {', '.join(map(repr, known))}")
    return args


def _main(table: Table, args: argparse.Namespace) -> None:
    workdir = args.workdir or EXPERIMENTS.parent / "runs" / "experiments"
    output = args.output or EXPERIMENTS / table.name / args.scale
    rows = [row for row in table.at(args.scale) if not args.rows or row.name in args.rows]
    if SCALES[args.scale].written:
        return _write_configs(rows, args.scale, output)
    results, jobs, folders = writer.read(output), [], []
    curves = tuple(table.plot.curves) if table.plot else ()
    mesh = make_mesh(jax.devices()[:1])
    for seed in args.seeds:
        for row in rows:
            c = config_of(row, args.scale, seed, args.data_dir)
            c = config.smoke(c) if args.smoke else c
            build(c, mesh, train_size=SCALES[args.scale].train_size)  # mistakes before long work
            key = identity(c)
            folder = workdir / args.scale / f"{key}_{seed}"
            if row.computed is None:
                folders.append(f"{row.name}={folder}")
            if (row.name, seed, key) in {(r["row"], r["seed"], r["config"]) for r in results}:
                continue
            record = json.loads(c.to_json_best_effort())
            jobs.append((row.name, seed, key, record, str(folder), curves, row.computed))
    output.mkdir(parents=True, exist_ok=True)
    for result in tqdm.tqdm(_runs(jobs, args.jobs), total=len(jobs), unit="run", disable=not jobs):
        same = (result["row"], result["seed"])
        results = [r for r in results if (r["row"], r["seed"]) != same] + [result]
        writer.write(table, args.scale, results, output)
    writer.write(table, args.scale, results, output)
    if args.compare:
        compare(folders, str(output / "comparison"))
    print((output / writer.TABLE).read_text())
    print(f"written to {output}")


def _runs(jobs: list[tuple], count: int):
    """Results in the order in which runs end."""
    if count == 1:
        yield from (train(*job) for job in jobs)
        return
    # New workers after a few runs: the compiled programs of all would fill the memory. Not by
    # max_tasks_per_child, with which a pool can end up waiting without a worker (CPython 115634).
    spawn, few = multiprocessing.get_context("spawn"), 4 * count
    for start in range(0, len(jobs), few):
        with futures.ProcessPoolExecutor(count, mp_context=spawn) as pool:
            these = [pool.submit(train, *job) for job in jobs[start : start + few]]
            for done in futures.as_completed(these):
                yield done.result()


def train(
    row: str,
    seed: int,
    key: str,
    record: dict[str, Any],
    folder: str,
    curves: tuple[str, ...] = (),
    computed: Callable[[ConfigDict], dict[str, float]] | None = None,
) -> dict[str, Any]:
    """One run, or what its folder holds of it; what it prints goes to FOLDER.log.

    Args:
      row, seed, key: name the run in the result.
      record: of its config.
      folder: of the run.
      curves: metrics of the log that the result holds as well, as [step, value].
      computed: gives the scores in place of a run.

    Returns:
      What a line of results.json holds.
    """
    cache.keep_programs()
    result: dict[str, Any] = {"row": row, "seed": seed, "config": key}
    if computed is not None:
        return {**result, **_computed(computed, config.of_record(record))}
    path = epath.Path(folder)
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(f"{folder}.log", "a") as log, contextlib.redirect_stdout(log):
        with contextlib.redirect_stderr(log):
            try:
                summary = run(config.of_record(record), folder)
            except Diverged:
                return {**result, "collapse": "diverged", "scores": {}}
    entry = read(path)
    last = {p: entry.last(comparison.RANK.format(p)) for p in ("representation", "embedding")}
    ranks = {place: None if math.isnan(rank) else rank for place, rank in last.items()}
    scores: dict[str, dict[str, float]] = {}
    for found in summary["results"]:
        scores.setdefault(found["features"], {})[found["protocol"]] = found["top1"]
    if curves:
        result["curves"] = {name: _points(entry.history, name) for name in curves}
    for found in summary.get("retrieval", ()):  # runs of earlier releases have none
        if found["layer"] != "representation":  # embeddings, and chance
            named = {title: found.get(key) for key, title in pairs.COLUMNS.items()}
            scores.setdefault(found["features"], {}).update(named)
    return {
        **result,
        "collapse": summary["collapse"],
        "seconds": round(summary["seconds"], 1),
        "images_per_second": round(summary["images_per_second"]),
        "encoder": hashlib.sha256((path / "encoder.safetensors").read_bytes()).hexdigest()[:16],
        "effective_rank": ranks,
        "scores": scores,
    }


def _computed(function: Callable[[ConfigDict], dict[str, float]], c: ConfigDict) -> dict[str, Any]:
    """What a line of results.json holds of a row without a run, beside its names."""
    start = time.perf_counter()
    return {
        "collapse": "none",
        "scores": {"trained": function(c)},
        "seconds": round(time.perf_counter() - start, 1),
    }


def _points(history, name: str) -> list[tuple[int, float]]:
    """Steps and values of a metric, to four digits."""
    found = [(line["step"], line[name]) for line in history if line.get(name) is not None]
    return [(step, float(f"{value:.4g}")) for step, value in found]


def _write_configs(rows: list[Row], scale: str, output: pathlib.Path) -> None:
    """One full config per row, and the command that starts it on a pod, instead of running."""
    output.mkdir(parents=True, exist_ok=True)
    for row in rows:
        path = output / f"{writer.slug(row.name)}.py"
        made_from = f"{row.config}_{SCALES[scale].suffix}"
        record = json.loads(config_of(row, scale).to_json_best_effort())
        path.write_text(writer.CONFIG.format(name=row.name, made_from=made_from, record=record))
        root = os.path.relpath(path, CONFIGS.parent)
        print(f"launch/tpu_pod.sh --config={root} --workdir=gs://BUCKET/{path.stem}")
