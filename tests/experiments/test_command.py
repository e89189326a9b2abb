"""A table of two rows at toy size: runs, goes on, writes; its text from results alone."""

import dataclasses
import json
import runpy
import sys

import pytest
from suite import command, figures, writer
from suite.declaration import Plot, Row, Table

from jax_bt import config

ROWS = ["baseline", "only the redundancy term (off-diagonal)"]


def declared(name):
    return runpy.run_path(str(command.EXPERIMENTS / name / "run.py"))["TABLE"]


def call(monkeypatch, *arguments, table="bt_table5"):
    monkeypatch.setattr(sys, "argv", ["run.py", *map(str, arguments)])
    command.main(declared(table) if isinstance(table, str) else table)


def test_two_rows_are_trained_once(monkeypatch, tmp_path, capsys):
    """Curves, which another table has, travel with the results."""
    plot = declared("vicreg_figures3to5").plot
    table, out = dataclasses.replace(declared("bt_table5"), plot=plot), tmp_path / "out"
    places = ["--workdir", tmp_path / "runs", "--output", out]
    few = ["--smoke", "--seeds", 5, *places]
    monkeypatch.setattr(command.cache, "keep_programs", lambda: None)
    call(monkeypatch, *few, "--rows", ROWS[0], table=table)
    first = json.loads((out / writer.RESULTS).read_text())
    call(monkeypatch, *few, "--compare", "--rows", *ROWS, table=table)
    both = json.loads((out / writer.RESULTS).read_text())
    assert [(run["row"], run["seed"]) for run in both["runs"]] == [(row, 5) for row in ROWS]
    assert both["runs"][:1] == first["runs"]
    assert set(both["runs"][1]["scores"]["trained"]) == {"knn_20", "linear", "linear_5"}
    for name in plot.curves:
        steps = [step for step, _ in both["runs"][1]["curves"][name]]
        assert steps == sorted(set(steps)) and steps, name
    assert ROWS[1] in (out / "comparison" / "index.html").read_text()
    monkeypatch.setattr(command, "run", pytest.fail)  # nothing is trained again
    call(monkeypatch, *few, "--rows", *ROWS, table=table)
    assert json.loads((out / writer.RESULTS).read_text()) == both
    assert "| baseline | " in capsys.readouterr().out


def test_imagenet_writes_configs_and_the_commands(monkeypatch, tmp_path, capsys):
    call(monkeypatch, "--scale", "imagenet", "--output", tmp_path, "--rows", ROWS[1])
    said = capsys.readouterr().out
    (path,) = tmp_path.glob("*.py")
    assert f"{path.name} --workdir=gs://BUCKET/{path.stem}" in said
    c = runpy.run_path(str(path))["get_config"]()
    assert c.loss.terms == "redundancy" and c.heads.projector == (8192, 8192, 8192)
    assert c.batch_size == config.imagenet_r50().batch_size


def test_a_table_of_captions_has_recalls_and_their_chance(monkeypatch, tmp_path):
    places = ["--workdir", tmp_path / "runs", "--output", tmp_path / "out"]
    monkeypatch.setattr(command.cache, "keep_programs", lambda: None)
    few = ["--smoke", "--seeds", 5, "--rows", "VSE0, all negatives", *places]
    call(monkeypatch, *few, table="vicreg_table3")  # its first scale
    (run,) = json.loads((tmp_path / "out" / writer.RESULTS).read_text())["runs"]
    recalls = {f"{query} query R@{k}" for query in ("caption", "image") for k in (1, 5, 10)}
    for kind in ("trained", "untrained", "chance"):
        assert recalls <= set(run["scores"][kind]), kind
    # Of 64 captions and 32 images: each caption has one image.
    assert run["scores"]["chance"]["caption query R@10"] == 100 * 10 / 32
    table = (tmp_path / "out" / writer.TABLE).read_text()
    assert "| chance | 3.1 | 15.6 | 31.2 | 3.1 |" in table and "| VSE0, all negatives |" in table


def test_a_mistake_ends_before_any_run(monkeypatch, tmp_path, capsys):
    with pytest.raises(SystemExit):
        call(monkeypatch, "--rows", "baselin", "--output", tmp_path)
    assert "--rows: 'baselin' is not one of 'baseline'" in capsys.readouterr().err
    wrong = Table(name="t", title="t", rows=[Row(name="x", changes={"loss.lambda": 1.0})])
    monkeypatch.setattr(sys, "argv", ["run.py", "--output", str(tmp_path)])
    with pytest.raises(SystemExit) as error:
        command.main(wrong)
    assert error.value.code == 2
    assert "t: " in capsys.readouterr().err and not list(tmp_path.iterdir())


def result(row, seed, top1, collapse="none"):
    scores = {"trained": dict.fromkeys(("knn_20", "linear", "linear_5"), top1)}
    ranks = {"representation": 10.0 + seed, "embedding": 5.0}
    rest = {"seconds": 9.0, "effective_rank": ranks, "scores": scores}
    return {"row": row, "seed": seed, "config": "0", "collapse": collapse, **rest}


def test_means_deviations_and_verdicts(tmp_path):
    table = Table(
        name="t",
        title="A table",
        setting="paper",
        published=("top-1",),
        rows=[
            Row(name="a", published=(71.4,), x=1.0, series="s"),
            Row(name="b", x=2.0, series="s"),
            Row(name="c"),
        ],
        plot=Plot("x", log=True),
    )
    runs = [
        result("b", 0, 50.0, "complete"),
        result("a", 1, 92.0),
        result("a", 0, 90.0),
        result("gone", 0, 1.0),
        {"row": "c", "seed": 0, "config": "0", "collapse": "diverged", "scores": {}},
    ]
    writer.write(table, "digits", runs, tmp_path)
    a, b, c = (tmp_path / writer.TABLE).read_text().splitlines()[-3:]
    # The sample standard deviation of 90 and 92 is the root of 2.
    assert a.startswith("| a | 91.0 ± 1.4 | 91.0 ± 1.4 | 91.0 ± 1.4 | 10.5 ± 0.7 | 2 |  | 9 | 71.4")
    assert b == "| b | 50.0 | 50.0 | 50.0 | 10.0 | 1 | complete | 9 |  |"
    assert c == "| c |  |  |  |  | 1 | diverged |  |  |"
    assert [(r["row"], r["seed"]) for r in writer.read(tmp_path)][:2] == [("a", 0), ("a", 1)]
    assert (tmp_path / writer.FIGURE).stat().st_size > 1000


def test_figures_take_the_best_and_curves_the_longest(tmp_path):
    """Two rates at one batch: the better mean; a row without a finished run leaves a gap."""
    assert figures.best([(2.0, [1.0, 3.0]), (2.0, [4.0, 6.0]), (1.0, [5.0]), (4.0, [])]) == [
        (1.0, 5.0, 0.0),
        (2.0, 5.0, pytest.approx(2**0.5)),
    ]
    table = Table(
        name="t",
        title="A figure",
        rows=[Row(name="short", series="s", x=1.0), Row(name="long", series="s", x=2.0)],
        plot=Plot("steps", curves={"loss": "the loss"}),
    )
    runs = [result("short", 0, 50.0), {**result("long", 0, 60.0), "curves": {"loss": [[0, 1.0]]}}]
    figures.draw(table, runs, tmp_path / "with.png")
    figures.draw(table, [result("short", 0, 50.0), result("long", 0, 60.0)], tmp_path / "no.png")
    assert (tmp_path / "with.png").read_bytes() != (tmp_path / "no.png").read_bytes()
