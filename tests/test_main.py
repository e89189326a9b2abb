"""The command line and mistakes on it; whole runs are in tests/whole_runs."""

import pathlib
import re
import subprocess
import sys

import pytest

from jax_bt import main

ROOT = pathlib.Path(__file__).parent.parent


def test_a_mistake_is_one_line_and_exit_code_2():
    words = ["--config=configs/barlow_digits.py", "--config.batch_siez=3"]
    done = subprocess.run(
        [sys.executable, "-m", "jax_bt.main", *words],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=60,
    )
    said = done.stdout.strip()
    assert done.returncode == 2
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
