"""The command line as people use it: run, stop, go on, make mistakes."""

import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import time

import pytest

from jax_bt import main
from jax_bt.train import history

ROOT = pathlib.Path(__file__).parent.parent
SMOKE = "--config=configs/barlow_r50.py:smoke"


def start(*words, **options):
    """The program as a child process, its output one stream of text."""
    return subprocess.Popen(
        [sys.executable, "-m", "jax_bt.main", *words],
        cwd=ROOT,
        env=os.environ | {"JAX_NUM_CPU_DEVICES": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        **options,
    )


def test_a_run_is_stopped_goes_on_and_is_finished(tmp_path, capsys, monkeypatch):
    """SIGTERM saves at the next step; the same command goes on; then it says where to look."""
    monkeypatch.chdir(ROOT)
    command = [SMOKE, f"--workdir={tmp_path}", "--config.steps=12"]
    first = start(*command)
    lines = tmp_path / "metrics.jsonl"
    while not (lines.exists() and lines.stat().st_size) and first.poll() is None:
        time.sleep(0.05)
    first.send_signal(signal.SIGTERM)
    said = first.communicate(timeout=300)[0]
    assert first.returncode == 75, said
    assert "saved step" in said.splitlines()[-1]
    reached = max(int(p.name) for p in (tmp_path / "checkpoints").iterdir() if p.name.isdigit())
    assert 1 <= reached < 12

    second = start(*command)
    said = second.communicate(timeout=300)[0]
    assert second.returncode == 0, said
    assert f"going on from the checkpoint of step {reached}" in said
    assert said.splitlines()[-1] == f"report: {tmp_path / 'report' / 'index.html'}"
    assert "trained encoder" in said

    assert [record["step"] for record in history.read(tmp_path)] == list(range(12))
    record = history.read(tmp_path)[-1]
    assert {"loss", "invariance", "redundancy", "gradient_norm", "parameter_norm"} <= set(record)
    assert {"learning_rate", "bias_learning_rate", "images_per_second"} <= set(record)
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert summary["method"] == "barlow_twins" and summary["steps"] == 12
    assert set(summary["final_loss"]) == {"loss", "invariance", "redundancy"}
    assert {r["protocol"] for r in summary["results"]} == {"knn"}
    assert json.loads((tmp_path / "config.json").read_text())["batch_size"] == 16
    assert list((tmp_path / "tensorboard").glob("events*"))
    pictures = {path.stem for path in (tmp_path / "report").glob("*.png")}
    assert {"losses", "rates", "correlation", "spectrum", "map", "views", "neighbours"} <= pictures

    assert main.run(["main", *command]) == 0
    assert capsys.readouterr().out.startswith("this run is finished; its report: ")


def test_a_mistake_is_one_line_and_exit_code_2():
    child = start("--config=configs/barlow_digits.py", "--config.batch_siez=3")
    said = child.communicate(timeout=60)[0].strip()
    assert child.returncode == 2
    assert said.count("\n") == 0 and "did you mean 'batch_size'?" in said


@pytest.mark.parametrize(
    "words, answer",
    [
        (
            ["--config=configs/barlow_digit.py"],
            "no config 'configs/barlow_digit.py': did you mean configs/barlow_digits.py",
        ),
        (["--config=configs/barlow_digits.py", "--config.encoder.nam=x"], "did you mean 'name'?"),
        (["--config=configs/barlow_digits.py", "--config.batch_size=x"], "expected int, such as"),
        (["--config=configs/barlow_digits.py", "--config.heads=3"], "set one of its fields"),
        (["--config=configs/barlow_digits.py", "--confg=3"], "Did you mean: config"),
        (["--config.batch_size=3"], "pass --config=NAME first"),
        (["--config.batch_size=12", "--config=configs/barlow_digits.py"], "divide over 8 devices"),
    ],
)
def test_what_cannot_be_parsed_is_answered(words, answer, capsys, monkeypatch):
    monkeypatch.chdir(ROOT)
    assert main.run(["main", *words]) == 2
    said = capsys.readouterr().err.strip()
    assert answer in said and "\n" not in said


@pytest.mark.parametrize(
    "override, answer",
    [
        ("--config.encoder.name=resnet51", "'resnet51' is not one of resnet18"),
        ("--config.method=barlow", "choose one of barlow_twins"),
        ("--config.data.recipe=nothing", "'nothing' is not known; there are: barlow"),
        ("--config.data.name=imagenet2012", "jax_bt.data.prepare imagenet2012"),
        ("--config.data.train=tran", "tran"),
        ("--config.batch_size=5000", "larger than the 1297 examples|does not fit"),
        ("--config.batch_size=12", "does not divide over 8 devices"),
        (
            "--config.heads.projector=(8,-1)",
            r"heads.projector=\(8, -1\): give a number of at least 1",
        ),
        ("--config.heads.projector=()", r"heads.projector=\(\): barlow_twins needs at least one"),
        ("--config.loss.form=grim", "form='grim' is unknown: choose one of auto"),
    ],
)
def test_a_value_that_does_not_fit_is_answered(override, answer, capsys, tmp_path):
    assert main.run(["main", "--config=barlow_digits", f"--workdir={tmp_path}/run", override]) == 2
    said = capsys.readouterr().err.strip()
    assert said.startswith("jax_bt: ") and "\n" not in said
    assert re.search(answer, said), said
    assert not (tmp_path / "run").exists()  # nothing is left behind
