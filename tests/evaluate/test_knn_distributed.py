"""kNN of euclidean distance, of several k in one search, and on several devices."""

import importlib

import jax
import numpy as np
import pytest

from jax_bt import evaluate
from jax_bt.devices.mesh import make_mesh

module = importlib.import_module("jax_bt.evaluate.knn")  # the attribute is the function


@pytest.fixture
def arrays(golden):
    g = golden("knn_20_200")
    return g["train_x"], g["train_y"], g["test_x"], g["test_y"]


@pytest.mark.parametrize("row", range(6))
@pytest.mark.parametrize("chunk", [16384, 97])
def test_matches_the_reference(golden, arrays, row, chunk):
    g = golden("knn_20_200")
    result = evaluate.knn(
        *arrays,
        k=int(g["k"][row]),
        temperature=float(g["T"][row]),
        distance=str(g["distance"][row]),
        chunk=chunk,
    )
    # One of 160 test examples is 0.6 percent: nothing less than equality means anything.
    assert result == pytest.approx({"top1": g["top1"][row], "top5": g["top5"][row]}, abs=1e-9)


@pytest.mark.parametrize("distance", module.DISTANCES)
def test_several_k_are_one_search(arrays, distance, monkeypatch):
    alone = {k: evaluate.knn(*arrays, k, distance=distance) for k in (20, 1, 10_000)}
    searches, original = [], module._nearer
    monkeypatch.setattr(module, "_nearer", lambda *a, **k: searches.append(1) or original(*a, **k))
    assert evaluate.knn_several(*arrays, (20, 1, 10_000), distance=distance) == alone
    assert len(searches) == 1


@pytest.mark.parametrize("distance", module.DISTANCES)
def test_the_number_of_devices_does_not_matter(arrays, distance):
    """157 test rows divide over none of the meshes."""
    arrays = (*arrays[:2], *(x[:157] for x in arrays[2:]))
    results = [
        evaluate.knn_several(
            *arrays, distance=distance, chunk=150, mesh=make_mesh(jax.devices()[:n])
        )
        for n in (1, 2, 8)
    ]
    assert results[0] == results[1] == results[2]


def test_devices_work_apart():
    """No device waits for another: the search is compiled without communication."""
    mesh = make_mesh()
    spread = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec(None, "data"))
    everywhere = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec())

    def array(shape, dtype, sharding):
        return jax.ShapeDtypeStruct(shape, dtype, sharding=sharding)

    best = tuple(array((2, 64, 5), dtype, spread) for dtype in (np.float32, np.int32))
    bank = array((96, 8), np.float32, everywhere), array((96,), np.int32, everywhere)
    queries = array((2, 64, 8), np.float32, spread)
    program = module._nearer.lower(
        best, queries, *bank, 96, distance="euclidean", mesh=mesh
    ).compile()
    wanted = array((2, 64), np.int32, spread)
    ranks = module._ranks.lower(*best, wanted, 0.1, k=5, classes=7, distance="cosine").compile()
    for text in (program.as_text(), ranks.as_text()):
        for name in ("all-gather", "all-reduce", "all-to-all", "collective-permute"):
            assert name not in text


def test_presets():
    random = np.random.default_rng(0)
    x, y = random.normal(size=(300, 6)).astype(np.float32), random.integers(0, 7, 300)
    protocol = evaluate.find("knn_vicreg")
    result = protocol.module.run(x[:250], y[:250], x[250:], y[250:], protocol.preset)
    both = evaluate.knn_several(x[:250], y[:250], x[250:], y[250:], (20, 200))
    assert result == {
        **both[20],
        **{f"{name}_{k}": both[k][name] for k in both for name in ("top1", "top5")},
    }


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"ks": ()}, "k must be at least 1 neighbour, got none"),
        ({"ks": (20, 0)}, "got 20, 0"),
        ({"distance": "l1"}, "distance='l1' is not one of cosine, euclidean"),
        ({"chunk": 0}, "chunk must be at least 1"),
    ],
)
def test_says_what_is_wrong(arrays, change, message):
    with pytest.raises(ValueError, match=message):
        evaluate.knn_several(*arrays, **change)
