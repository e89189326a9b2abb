"""The benchmark of the losses runs and reports; its peers need PyTorch, which the tests do not."""

import json
import pathlib
import subprocess
import sys

SCRIPT = pathlib.Path(__file__).parents[2] / "benchmarks" / "bench_losses.py"


def test_forms_are_measured_and_agree():
    command = [sys.executable, str(SCRIPT), "--shapes", "32x256", "--losses", "vicreg"]
    command += ["--contestants", "cross_correlation,gram", "--repeats", "1"]
    out = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    square, gram = map(json.loads, out.splitlines())
    assert [r["contestant"] for r in (square, gram)] == ["cross_correlation", "gram"]
    assert abs(square["value"] - gram["value"]) < 1e-5 * square["value"]
    assert 0 < gram["temporary_bytes"] < 4 * 256**2 < square["temporary_bytes"]
    assert gram["seconds"] > 0 and gram["cpu_seconds"] > 0
