"""Kills a tiny run with SIGKILL again and again and compares its end with an uninterrupted one.

python tests/soak.py --kills=100

The moments are drawn from --seed: half of them in or after a random step, a quarter while a
checkpoint is being written, a quarter at any time of the run. Every run goes on until it is killed
or has finished; a finished one must equal the uninterrupted run bit for bit and is then thrown away
for the next. Prints a line a kill and a summary; exits with 1 at the first difference.
"""

import argparse
import os
import pathlib
import random
import shutil
import sys
import tempfile
import time

os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
STEPS = 12  # of the tiny run
TESTS = pathlib.Path(__file__).parent
sys.path[:0] = [str(TESTS), str(TESTS.parent)]

import numpy as np  # noqa: E402
from helpers import program  # noqa: E402


def difference(found: pathlib.Path, expected: pathlib.Path) -> str | None:
    """What differs between two finished runs, the clock aside; None if nothing does."""
    if program.records(found) != program.records(expected):
        return "metrics.jsonl"
    if program.summary(found) != program.summary(expected):
        return "summary.json"
    a, b = program.arrays(found), program.arrays(expected)
    if a.keys() != b.keys():
        return "the names of the arrays"
    return next((n for n in b if not np.array_equal(a[n], b[n], equal_nan=True)), None)


def moment(draw: random.Random, run: pathlib.Path, whole: float):
    """When to kill: in or after a random step, in a checkpoint's writing, or at a random time."""
    kind = draw.choice(["step", "step", "checkpoint", "time"])
    checkpoints = run / "checkpoints"
    if kind == "checkpoint":
        old = set(checkpoints.glob("*tmp*"))  # of an earlier kill, cleared when the run goes on
        return lambda: bool(set(checkpoints.glob("*tmp*")) - old)
    if kind == "time":
        until = time.monotonic() + draw.uniform(0, whole)
        return lambda: time.monotonic() > until
    newest = max((int(p.name) for p in checkpoints.glob("*") if p.name.isdigit()), default=0)
    count = draw.randint(min(newest + 1, STEPS), STEPS)
    lines, began = run / "metrics.jsonl", time.time()
    pause, since = draw.uniform(0, 0.3), []

    def after_step() -> bool:
        # The file is cut to the checkpoint's steps, and so written anew, when the run goes on.
        fresh = lines.exists() and lines.stat().st_mtime > began
        if fresh and program.lines(run) >= count and not since:
            since.append(time.monotonic())
        return bool(since) and time.monotonic() - since[0] >= pause

    return after_step


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--devices", type=int, default=2)
    options = parser.parse_args()
    draw = random.Random(options.seed)
    folder = pathlib.Path(tempfile.mkdtemp(prefix="soak"))
    os.environ.setdefault("JAX_DISABLE_MOST_OPTIMIZATIONS", "1")  # twelve steps: compiled soonest
    os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(folder / "cache"))

    def start(workdir):
        return program.start(workdir, devices=options.devices)

    program.end(start(folder / "warm"))  # fills the compilation cache
    began = time.monotonic()
    program.end(start(folder / "expected"))
    whole = time.monotonic() - began
    print(f"an uninterrupted run takes {whole:.1f} s", flush=True)

    began, kills, finished, resumed, torn = time.monotonic(), 0, 0, 0, 0
    run = folder / "run0"
    while True:
        child = start(run)
        if kills < options.kills:
            happened = moment(draw, run, whole)
            while child.poll() is None and not happened():
                time.sleep(0.001)
            if child.poll() is None:
                child.kill()
                said = child.communicate()[0]
                kills += 1
                torn += any((run / "checkpoints").glob("*tmp*"))
                resumed += "going on from" in said
                print(f"kill {kills}: {program.lines(run)} steps written", flush=True)
                continue
        said = program.end(child)
        finished += 1
        resumed += "going on from" in said
        if differing := difference(run, folder / "expected"):
            print(f"FAILED after {kills} kills: {differing} differs; see {run} and {folder}")
            return 1
        if kills == options.kills:
            break
        shutil.rmtree(run)
        run = folder / f"run{finished}"
    minutes = (time.monotonic() - began) / 60
    print(
        f"{kills} kills ({torn} left a half-written checkpoint), {resumed} starts from a checkpoint"
        f", {finished} runs finished, each equal bit for bit; {minutes:.1f} minutes"
    )
    shutil.rmtree(folder)
    return 0


if __name__ == "__main__":
    sys.exit(main())
