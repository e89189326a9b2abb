"""Methods that cluster between epochs: what the bank holds, when, and on which device."""

import jax
import numpy as np
import pytest

from jax_bt.devices.mesh import make_mesh
from jax_bt.errors import UsageError
from jax_bt.methods import _bank
from jax_bt.train.state import shardings

from . import formulas, tiny

NAMES = ["deepcluster_v2", "sela_v2"]
EXAMPLES = tiny.BATCH * tiny.EPOCH
each_method = pytest.mark.parametrize("name", NAMES)


def bank(state):
    return {name: np.array(x) for name, x in state.bank.items()}


def embeddings(name, state, i):
    """Unit embeddings (2, batch, 8) of both views of batch i."""
    given, both = tiny.variables(jax.device_get(state)), np.concatenate(tiny.views(i))
    z = tiny.through(tiny.networks(name), given, both, "encoder", "projector")
    return formulas.unit(z).reshape(2, tiny.BATCH, -1)


@each_method
def test_the_first_epoch_fills_the_bank_and_moves_nothing(name):
    """Rows by example index, each with the embeddings of both views; no example has a cluster."""
    run = tiny.make(name)
    expected = np.zeros((EXAMPLES, 2, 8))
    for i in range(tiny.EPOCH):
        expected[tiny.index(i)] = embeddings(name, run.state, i).swapaxes(0, 1)
    state, losses = tiny.train(run, range(tiny.EPOCH))
    held = bank(state)["embeddings"]
    assert len(held) % 1024 == 0
    np.testing.assert_allclose(held[:EXAMPLES], expected, atol=1e-5)
    assert not np.any(held[EXAMPLES:])
    assert losses == [0] * tiny.EPOCH
    assert np.all(bank(state)["assignments"][:EXAMPLES] == -1)
    for a, b in zip(jax.tree.leaves(run.state.params), jax.tree.leaves(state.params), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-6)


def started(name):
    """The state after the first epoch, and what the second one starts from."""
    run = tiny.make(name)
    before, _ = tiny.train(run, range(tiny.EPOCH))
    return run, before, run.start_epoch(jax.tree.map(lambda x: x.copy(), before))


def test_deepcluster_assigns_the_nearest_centroid_of_the_crops_in_turn():
    _, before, after = started("deepcluster_v2")
    held = bank(after)
    np.testing.assert_array_equal(held["embeddings"], bank(before)["embeddings"])
    for h, centroids in enumerate(after.target["centroids"]):
        rows = held["embeddings"][:EXAMPLES, h % 2]
        np.testing.assert_allclose(np.linalg.norm(centroids, axis=1), 1, rtol=1e-5)
        given = held["assignments"][:EXAMPLES, h]
        np.testing.assert_array_equal(given, np.argmax(rows @ np.array(centroids).T, axis=1))
        # Ten moves from a draw: each centroid has come to rest at the mean of its members.
        for k in set(given.tolist()):
            mean = formulas.unit(rows[given == k].mean(0))
            assert mean @ centroids[k] > 0.99
    assert np.all(held["assignments"][EXAMPLES:] == -1)
    assert 0 < after.target["used"] <= 1


def test_sela_divides_all_examples_among_the_labels():
    _, _, after = started("sela_v2")
    assert after.target["used"] == 1
    for h, labels in enumerate((4, 6)):
        given = bank(after)["assignments"][:EXAMPLES, h]
        counts = np.bincount(given, minlength=labels)
        assert counts.min() >= EXAMPLES / labels / 2 and counts.max() <= EXAMPLES / labels * 2


@each_method
def test_the_loss_predicts_the_cluster_of_the_example(name):
    """Cross-entropy of both views with the clusters in the batch's rows; the mean of both heads."""
    run, _, state = started(name)
    i = tiny.EPOCH
    z, rows = embeddings(name, state, i), bank(state)["assignments"][tiny.index(i)]
    if name == "sela_v2":
        own = jax.device_get(state.params["prototypes"])
        prototypes = [own[f"linear_{h}"]["kernel"] for h in range(2)]
    else:
        prototypes = [np.array(c).T for c in state.target["centroids"]]
    terms = []
    for h, matrix in enumerate(prototypes):
        scores = z @ matrix / 0.1
        log_p = scores - np.log(np.sum(np.exp(scores), axis=-1, keepdims=True))
        terms.append(-np.mean(log_p[:, np.arange(tiny.BATCH), rows[:, h]]))
    _, (loss,) = tiny.train(run._replace(start_epoch=lambda state: state), range(i, i + 1), state)
    np.testing.assert_allclose(loss, np.mean(terms), rtol=1e-4)


def test_each_epoch_and_clustering_draws_its_own_start():
    rows, kept = np.random.default_rng(0).normal(size=(50, 3)).astype("float32"), np.arange(50) < 30
    keys = [jax.random.fold_in(jax.random.key(0), i) for i in (0, 0, 1)]
    first, again, other = (np.array(_bank.draw(key, rows, kept, 10)) for key in keys)
    np.testing.assert_array_equal(first, again)
    assert np.any(first != other)
    places = [np.flatnonzero(np.all(rows == row, axis=1)).item() for row in first]
    assert len(set(places)) == 10 and max(places) < 30


@pytest.mark.parametrize("devices, parts", [(8, 8), (2, 2), (3, 1)])
def test_each_device_holds_its_part_of_the_rows(devices, parts):
    """Three devices do not divide the rows, and each holds them all."""
    lies = shardings(make_mesh(jax.devices()[:devices]))
    assert lies.bank.shard_shape((2048, 2, 8)) == (2048 // parts, 2, 8)
    assert lies.params.is_fully_replicated
    if devices == 8:
        state, _ = tiny.train(tiny.make("deepcluster_v2", devices=8), range(3))
        for x in jax.tree.leaves(state.bank):
            assert {len(shard.data) for shard in x.addressable_shards} == {len(x) // 8}


@pytest.mark.parametrize(
    "name, given, field",
    [
        ("deepcluster_v2", {"target": {"clusters": (4, 33)}}, r"target.clusters=\(4, 33\)"),
        ("sela_v2", {"prototypes": (33,)}, r"heads.prototypes=\(33,\)"),
    ],
)
def test_more_clusters_than_examples_are_refused(name, given, field):
    with pytest.raises(UsageError, match=f"^{field}: no more clusters than the 32 examples"):
        tiny.make(name, **given)
