"""The table of experiments/methods_digits from summaries of runs; its runs are the configs'."""

import pathlib
import runpy
import sys

import pytest

FILE = pathlib.Path(__file__).parents[2] / "experiments" / "methods_digits" / "run.py"


@pytest.fixture(scope="module")
def script():
    return runpy.run_path(str(FILE))


def summary(seconds, collapse, **top1):
    results = [
        {"features": features, "protocol": protocol, "top1": value, "std": 0.0}
        for features, values in top1.items()
        for protocol, value in zip(("knn", "linear", "linear_5"), values, strict=True)
    ]
    return {"seconds": seconds, "collapse": collapse, "results": results}


def test_table_has_means_and_deviations_over_seeds(script):
    raw = (90.0, 95.0, 80.0)
    summaries = {
        "byol": [
            summary(
                60.0, "none", raw_pixels=raw, untrained=(60.0, 80.0, 60.0), trained=(90, 92, 88)
            ),
            summary(
                70.0, "none", raw_pixels=raw, untrained=(62.0, 80.0, 60.0), trained=(92, 92, 91)
            ),
        ],
        "imax": [
            summary(
                50.0, "complete", raw_pixels=raw, untrained=(61.0, 80.0, 60.0), trained=(1, 2, 3)
            )
        ],
    }
    assert script["table"](script["measured"](summaries)).splitlines() == [
        "|  | kNN | linear probe | 5 labels per class | seconds | collapse |",
        "| --- | --- | --- | --- | --- | --- |",
        "| raw pixels | 90.0 | 95.0 | 80.0 |  |  |",
        "| untrained encoder | 61.0 ± 1.0 | 80.0 | 60.0 |  |  |",
        "| byol | 91.0 ± 1.4 | 92.0 | 89.5 ± 2.1 | 65 |  |",
        "| imax | 1.0 | 2.0 | 3.0 | 50 | complete |",
    ]


def test_each_run_is_its_config_with_a_seed(script, monkeypatch, tmp_path):
    """Runs in order of seeds, each in a folder of its own; the table is written after each."""
    runs = []

    def train(config, folder):
        runs.append((config.method, config.seed, config.steps, folder.name))
        return summary(1.0, "none", raw_pixels=(1, 2, 3), untrained=(2, 3, 4), trained=(5, 6, 7))

    monkeypatch.setattr("jax_bt.train.train", train)
    argv = [
        "run.py",
        "--methods",
        "barlow",
        "swav",
        "--seeds",
        "0",
        "4",
        "--workdir",
        str(tmp_path),
    ]
    monkeypatch.setattr(sys, "argv", argv)
    monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", str(tmp_path))
    script["main"]()
    assert runs == [
        ("barlow_twins", 0, 200, "barlow_0"),
        ("swav", 0, 200, "swav_0"),
        ("barlow_twins", 4, 200, "barlow_4"),
        ("swav", 4, 200, "swav_4"),
    ]
    assert (tmp_path / "table.md").read_text().count("| 5.0 | 6.0 | 7.0 | 1 |") == 2
