"""Every kind under every protocol, and the table people read."""

import numpy as np
import pytest

from jax_bt import evaluate
from jax_bt.errors import UsageError
from jax_bt.report import table


@pytest.fixture(scope="module")
def results():
    random = np.random.default_rng(0)
    y = np.repeat(np.arange(4), 20)
    clear = np.eye(4)[y] + 0.1 * random.normal(size=(80, 4))
    noise = random.normal(size=(80, 4))
    return evaluate.compare({"raw_pixels": (noise, y, noise[::-1], y), "trained": (clear, y) * 2})


def test_one_record_a_kind_and_protocol(results):
    protocols = ["knn", "linear", "linear_1", "linear_5", "linear_10"]
    assert [(r["features"], r["protocol"]) for r in results] == [
        (kind, protocol) for kind in ("raw_pixels", "trained") for protocol in protocols
    ]
    assert all(set(r) == {"features", "protocol", "top1", "std"} for r in results)
    top1 = {(r["features"], r["protocol"]): r["top1"] for r in results}
    assert top1["trained", "linear_1"] > 95
    assert top1["raw_pixels", "knn"] < 60


def test_table():
    results = [
        {"features": "raw_pixels", "protocol": "knn", "top1": 98.06, "std": 0.0},
        {"features": "raw_pixels", "protocol": "linear_5", "top1": 85.94, "std": 2.34},
        {"features": "trained", "protocol": "knn", "top1": 98.0, "std": 0.0},
        {"features": "trained", "protocol": "linear_20", "top1": 100.0, "std": 0.0},
    ]
    assert table.text(evaluate.cells(results)).splitlines() == [
        "top-1 %           kNN  5 labels per class  20 labels per class",
        "--------------------------------------------------------------",
        "raw pixels       98.1          85.9 ± 2.3",
        "trained encoder  98.0                                    100.0",
    ]


def test_an_unknown_protocol_is_refused():
    x, y = np.eye(4), np.arange(4)
    with pytest.raises(UsageError, match="no protocol 'smv'"):
        evaluate.compare({"raw_pixels": (x, y, x, y)}, protocols=["smv"])


def test_a_protocol_that_refuses_the_features_costs_its_cell():
    x, y = np.eye(4), np.arange(4)
    results = evaluate.compare({"trained": (x, y, x, y)}, protocols=["linear_5", "knn"])
    assert results[0]["top1"] is None and results[1]["top1"] == 100
    assert "trained, linear_5: class 0 has 1 training examples" in results[0]["error"]
    assert evaluate.cells(results)[1] == ["trained encoder", "failed", "100.0"]
