"""The benchmark of the step runs and reports; its peers need PyTorch, which the tests do not."""

import json
import pathlib
import subprocess
import sys

SCRIPT = pathlib.Path(__file__).parents[2] / "benchmarks" / "bench_step.py"


def test_ours_is_measured():
    command = [sys.executable, str(SCRIPT), "--steps", "toy", "--contestants", "jax_bt"]
    out = subprocess.run([*command, "--repeats", "1"], check=True, capture_output=True, text=True)
    record = json.loads(out.stdout)
    # Stem 3x3x3x4; blocks of 4 and 8 filters with their shortcut; norms' scale and shift; head.
    convolutions = 108 + 2 * 144 + (288 + 576 + 32)
    norms = 2 * (4 + 2 * 4 + 3 * 8 + 16)
    assert record["parameters"] == convolutions + norms + 8 * 16 + 16 * 16
    assert record["seconds"] > 0 and record["first_loss"] > 0
