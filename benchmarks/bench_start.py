"""How long one waits: for --help, for the imports, and for the first step, cold and warm.

    python benchmarks/bench_start.py                   # about four minutes on two cores
    python benchmarks/bench_start.py --repeats 5 --config=configs/vicreg_digits.py

Every measurement is a process of its own. A run is started and, at the first line of its
metrics.jsonl, stopped: "cold" with an empty cache of compiled programs, "warm" with the one that
the cold start has filled. The first line is written when the first step has ended.

Prints JSON lines: the median of seconds and all of them.
"""

import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

PYTHON = [sys.executable, "-c"]
QUICK = {
    "python": [*PYTHON, "pass"],
    "import jax": [*PYTHON, "import jax"],
    "import jax_bt.losses": [*PYTHON, "import jax_bt.losses"],
    "import tensorflow": [*PYTHON, "import tensorflow"],
    "import jax_bt.train.loop": [*PYTHON, "import jax_bt.train.loop"],
    "--help": [sys.executable, "-m", "jax_bt.main", "--help"],
}


def seconds(command: list[str]) -> float:
    began = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return time.perf_counter() - began


def first_step(config: str, cache: pathlib.Path) -> float:
    """Seconds from the start of the process to the end of its first step."""
    with tempfile.TemporaryDirectory() as folder:
        lines = pathlib.Path(folder) / "run" / "metrics.jsonl"
        command = [sys.executable, "-m", "jax_bt.main", f"--config={config}"]
        began = time.perf_counter()
        child = subprocess.Popen(
            [*command, f"--workdir={lines.parent}"],
            env=os.environ | {"JAX_COMPILATION_CACHE_DIR": str(cache)},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            while not (lines.exists() and lines.stat().st_size):
                if child.poll() is not None:
                    raise SystemExit(f"the run ended with {child.returncode} before its first step")
                time.sleep(0.01)
            return time.perf_counter() - began
        finally:
            child.kill()
            child.wait()


def report(name: str, values: list[float]) -> None:
    rounded = [round(value, 2) for value in values]
    print(json.dumps({"what": name, "seconds": statistics.median(rounded), "all": rounded}))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--config", default="barlow_digits")
    options = parser.parse_args()
    for name, command in QUICK.items():
        seconds(command)  # the files are in memory, and byte code is there, from here on
        report(name, [seconds(command) for _ in range(options.repeats)])
    cold, warm = [], []
    for _ in range(options.repeats):
        with tempfile.TemporaryDirectory() as cache:
            cold.append(first_step(options.config, pathlib.Path(cache)))
            warm.append(first_step(options.config, pathlib.Path(cache)))
    report("first step, cold", cold)
    report("first step, warm", warm)


if __name__ == "__main__":
    main()
