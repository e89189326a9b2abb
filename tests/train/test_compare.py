"""Runs beside each other: repetitions put together, means and intervals, what differs."""

import json

import pytest

from jax_bt import main
from jax_bt.errors import UsageError
from jax_bt.report import comparison
from jax_bt.train import compare


def run(folder, *, seed=0, method="vicreg", rate=0.1, knn=None, steps=4, rank=9.0):
    """A run's folder, finished if it has a result."""
    folder.mkdir()
    config = {"method": method, "seed": seed, "batch_size": 8, "optimizer": {"rate": rate}}
    (folder / "config.json").write_text(json.dumps(config))
    lines = [
        {
            "step": step,
            "seconds": 30.0 * (step + 1),
            "loss": 9.0 / (step + 1),
            "images_per_second": 50.0,
            "collapse/representation_effective_rank": rank,
        }
        for step in range(steps)
    ]
    (folder / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    if knn is not None:
        result = {"features": "trained", "protocol": "knn", "top1": knn, "std": 0.0}
        summary = {"results": [{**result, "features": "untrained"}, result], "collapse": "none"}
        (folder / "summary.json").write_text(json.dumps(summary))
    return str(folder)


@pytest.fixture
def folders(tmp_path):
    return [
        run(tmp_path / "a0", seed=0, knn=90.0),
        run(tmp_path / "a1", seed=1, knn=92.0, rank=11.0),
        run(tmp_path / "a2", seed=2, knn=94.0, rank=10.0),
        run(tmp_path / "b", method="byol", knn=80.0),
    ]


def test_seeds_are_one_line_with_the_interval_of_their_mean(folders, tmp_path):
    groups = compare.compare(folders, str(tmp_path / "out"))
    head, vicreg, byol = comparison.rows(groups)
    assert head[:3] == ["", "seeds", "kNN"]
    # The t quantile of two degrees of freedom is 4.3027: 4.3027 x 2 / sqrt(3) = 4.968.
    assert vicreg[:4] == ["vicreg", "3", "92.0 ± 5.0", "10.0"]
    assert byol[:3] == ["byol", "1", "80.0"]
    assert vicreg[4:] == ["none", "32", "2.0", "50"]
    assert comparison.differences(groups) == [
        ["field", "vicreg", "byol"],
        ["method", "vicreg", "byol"],
    ]
    page = (tmp_path / "out" / "index.html").read_text()
    assert "92.0 ± 5.0" in page and "data:image/png;base64," in page


def test_one_field_names_the_groups(tmp_path):
    folders = [run(tmp_path / "x", rate=0.1), run(tmp_path / "y", rate=0.2, steps=0)]
    groups = compare.compare(folders, str(tmp_path / "out"))
    assert [group.name for group in groups] == ["optimizer.rate=0.1", "optimizer.rate=0.2"]
    assert [row[0] for row in comparison.rows(groups)[1:]] == [
        "optimizer.rate=0.1 (unfinished)",
        "optimizer.rate=0.2 (unfinished)",
    ]


def test_several_fields_leave_the_folders_names(tmp_path):
    folders = [run(tmp_path / "x"), run(tmp_path / "y", rate=0.2), run(tmp_path / "z", method="w")]
    assert [g.name for g in compare.compare(folders, str(tmp_path / "o"))] == ["x", "y", "z"]


def test_names_are_given_before_the_folder(tmp_path):
    folders = [f"ours={run(tmp_path / 'x')}", run(tmp_path / "y=1", rate=0.2)]
    names = [g.name for g in compare.compare(folders, str(tmp_path / "o"))]
    assert names == ["ours", "optimizer.rate=0.2"]


@pytest.mark.parametrize(
    ("names", "answer"),
    [
        (["a0"], "two runs or more, each once"),
        (["a0", "a0"], "two runs or more, each once"),
        (["a0", "nothing"], "nothing holds no run: it has no config.json"),
    ],
)
def test_mistakes(folders, tmp_path, names, answer):
    with pytest.raises(UsageError, match=answer):
        compare.compare([str(tmp_path / name) for name in names], str(tmp_path / "out"))


def test_the_command(folders, tmp_path, capsys):
    assert main.run(["main", "compare", *folders, f"--output={tmp_path / 'page'}"]) == 0
    said = capsys.readouterr().out
    assert "92.0 ± 5.0" in said and said.endswith(f"page: {tmp_path / 'page' / 'index.html'}\n")
