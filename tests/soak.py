"""Kills a tiny run with SIGKILL again and again and compares its end with an uninterrupted one.

python tests/soak.py --kills=100

Delays are drawn uniformly over what a whole run takes, from --seed, and one kill in four waits for
a half-written checkpoint instead. Every run goes on until it is killed or has finished; a finished
one must equal the uninterrupted run bit for bit and is then thrown away for the next. Prints a line
a kill and a summary; exits with 1 at the first difference.
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
TESTS = pathlib.Path(__file__).parent
sys.path[:0] = [str(TESTS / "whole_runs"), str(TESTS.parent)]

import numpy as np  # noqa: E402
import program  # noqa: E402


def difference(found: pathlib.Path, expected: pathlib.Path) -> str | None:
    """What differs between two finished runs, the clock aside; None if nothing does."""
    if program.history(found) != program.history(expected):
        return "metrics.jsonl"
    if program.summary(found) != program.summary(expected):
        return "summary.json"
    a, b = program.arrays(found), program.arrays(expected)
    if a.keys() != b.keys():
        return "the names of the arrays"
    return next((n for n in b if not np.array_equal(a[n], b[n], equal_nan=True)), None)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--devices", type=int, default=2)
    options = parser.parse_args()
    draw = random.Random(options.seed)
    folder = pathlib.Path(tempfile.mkdtemp(prefix="soak"))
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
            delay = draw.uniform(0, whole)
            at_checkpoint = draw.random() < 0.25
            until = time.monotonic() + delay
            while child.poll() is None:
                if at_checkpoint and any((run / "checkpoints").glob("*tmp*")):
                    break
                if not at_checkpoint and time.monotonic() > until:
                    break
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
