"""DeepCluster v2's loss and k-means beside the official code's numbers, and on several devices."""

import functools

import jax
import numpy as np
import pytest
from helpers.golden import check
from jax.sharding import PartitionSpec as P

from jax_bt import losses
from jax_bt.losses import _clusters

each_file = pytest.mark.parametrize("name", ["200x16_k12", "90x8_k30", "60x8_equal_rows"])


def heads(g):
    return [name.partition("/")[2] for name in g if name.startswith("init/")]


def bank(g, head):
    """The rows of a head and its initial centroids, in float64."""
    rows = g["bank"][int(head) % 2].astype(np.float64)
    return rows, rows[g[f"init/{head}"]]


def by_example(g, assignments):
    full = np.full(g["size_dataset"], -100)
    full[g["index"]] = assignments
    return full


@pytest.mark.parametrize("part", [256, 5])  # all centroids at once, and five at a time
@each_file
def test_k_means_are_the_references(golden, monkeypatch, name, part):
    """Centroids to 1e-9 and the same assignments: no row is nearly between two (``margin``)."""
    monkeypatch.setattr(_clusters, "PART", part)
    g = golden(f"deepcluster_{name}")
    cases = [(head, "", int(g["iterations"])) for head in heads(g)] + [("0", "_1iter", 1)]
    for head, kind, iterations in cases:
        with jax.enable_x64(True):
            out = losses.spherical_k_means(*bank(g, head), iterations=iterations)
        np.testing.assert_allclose(out.centroids, g[f"centroids{kind}/{head}"], atol=1e-9)
        found = by_example(g, out.assignments)
        np.testing.assert_array_equal(found, g[f"assignments{kind}/{head}"])
        if not kind:
            empty = len(out.centroids) - len(np.unique(out.assignments))
            assert empty == g["empty_clusters"][int(head)]


@each_file
def test_the_loss_is_the_references(golden, name):
    g = golden(f"deepcluster_{name}")
    z = g["loss/z"]
    rows = g["index"][: z.shape[1]]

    def mean_over_heads(z):
        values = [
            losses.deepcluster_v2(
                z @ g[f"centroids/{head}"].T.astype(z.dtype),
                assignments=g[f"assignments/{head}"][rows],
                temperature=0.1,
            ).loss
            for head in heads(g)
        ]
        return losses.DeepClusterV2(sum(values) / len(values))

    # Scores over 0.1: ten times float32's rounding of each, 1.2e-7 of up to 1.
    check(mean_over_heads, (z,), g["loss/value"], (g["loss/grad"],), float32=(2e-6, 1e-5))


def test_rows_left_out_do_not_count_and_have_no_cluster(golden):
    """As if they were not there, whatever they hold."""
    rows, centroids = bank(golden("deepcluster_90x8_k30"), "0")
    kept = np.arange(len(rows)) % 3 > 0
    with jax.enable_x64(True):
        out = losses.spherical_k_means(rows, centroids, kept=kept)
        alone = losses.spherical_k_means(rows[kept], centroids)
    np.testing.assert_allclose(out.centroids, alone.centroids, rtol=1e-12)
    np.testing.assert_array_equal(out.assignments[kept], alone.assignments)
    assert np.all(np.asarray(out.assignments)[~kept] == -1)


def test_k_means_are_the_same_on_eight_devices(golden):
    rows, centroids = bank(golden("deepcluster_200x16_k12"), "1")
    mesh = jax.make_mesh((8,), ("i",), (jax.sharding.AxisType.Auto,))
    with jax.enable_x64(True):
        one = losses.spherical_k_means(rows, centroids)
        mapped = jax.shard_map(
            functools.partial(losses.spherical_k_means, axis_name="i"),
            mesh=mesh,
            in_specs=(P("i"), P()),
            out_specs=losses.Clusters(P(), P("i")),
        )
        sharded = jax.device_put(rows, jax.NamedSharding(mesh, P("i")))
        for eight in (
            jax.jit(mapped)(rows, centroids),
            jax.jit(losses.spherical_k_means)(sharded, centroids),
        ):
            np.testing.assert_allclose(eight.centroids, one.centroids, rtol=1e-12)
            np.testing.assert_array_equal(eight.assignments, one.assignments)


def test_examples_without_a_cluster_do_not_count():
    scores = np.random.default_rng(0).normal(size=(2, 6, 4))
    assignments = np.array([1, -1, 3, -100, 0, 2])
    has = assignments >= 0
    loss = losses.deepcluster_v2(scores, assignments=assignments).loss
    alone = losses.deepcluster_v2(scores[:, has], assignments=assignments[has]).loss
    np.testing.assert_allclose(loss, alone, rtol=1e-6)
    none = np.full(6, -1)
    value, gradient = jax.value_and_grad(lambda x: losses.deepcluster_v2(x, assignments=none).loss)(
        scores.astype(np.float32)
    )
    assert value == 0 and not np.any(gradient)


@pytest.mark.parametrize(
    "assignments, message",
    [(np.zeros(4), "float"), (np.zeros(3, int), r"shape \(3,\): expected \(4,\)")],
)
def test_refuses(assignments, message):
    for loss in (losses.deepcluster_v2, losses.sela_v2):
        with pytest.raises(ValueError, match=message):
            loss(np.zeros((2, 4, 3), np.float32), assignments=assignments)
        with pytest.raises(ValueError, match="temperature=0 must be above 0"):
            loss(np.zeros((2, 4, 3), np.float32), assignments=np.zeros(4, int), temperature=0)
