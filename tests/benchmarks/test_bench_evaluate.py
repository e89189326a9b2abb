"""The benchmark of the evaluation measures all three parts, at toy size."""

import json
import pathlib
import subprocess
import sys

SCRIPT = pathlib.Path(__file__).parents[2] / "benchmarks" / "bench_evaluate.py"
TOY = "--encoder resnet_toy --size 16 --images 8 --batch 4 --rounds 1 --share 0.001 --width 16"


def test_every_part_is_measured():
    command = [sys.executable, str(SCRIPT), *TOY.split()]
    out = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    records = [json.loads(line) for line in out.splitlines() if line.startswith("{")]
    features, knn, linear_sgd = records
    assert features["command_images_per_second"] > 0 and len(features["ratios"]) == 1
    assert knn["what"].endswith("1,281 x 50 features of 16") and knn["seconds"] >= 0
    assert linear_sgd["several_over_one"] > 0
