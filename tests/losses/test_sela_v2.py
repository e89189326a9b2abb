"""SeLa's labelling beside its authors' numbers; equal parts; the same on several devices."""

import functools

import jax
import numpy as np
import pytest
from jax.sharding import PartitionSpec as P

from jax_bt import losses
from jax_bt.losses import _clusters


def softmax(x):
    p = np.exp(x - x.max(1, keepdims=True))
    return p / p.sum(1, keepdims=True)


@pytest.mark.parametrize("part", [256, 3])  # all labels at once, and three at a time
def test_labels_and_plan_are_the_references(golden, monkeypatch, part):
    monkeypatch.setattr(_clusters, "PART", part)
    g = golden("sela_labels_60x8")
    logits, power = g["logits"].astype(np.float64), float(g["lamb"])
    with jax.enable_x64(True):
        out = losses.equal_parts(
            logits, np.eye(logits.shape[1]), temperature=1.0, power=power, most=10**6
        )
    np.testing.assert_array_equal(out.assignments, g["labels"])
    np.testing.assert_array_equal(np.bincount(out.assignments), g["counts"])
    plan = softmax(power * logits + np.asarray(out.offsets)) / len(logits)
    np.testing.assert_allclose(plan, g["plan"], rtol=1e-9, atol=1e-15)


def problem(count=64, labels=6, width=5):
    """Unit rows around few directions, so that nearest prototypes would be far from equal parts."""
    random = np.random.default_rng(0)
    rows = random.normal(size=(count, width)) + 3 * np.eye(width)[0]
    prototypes = random.normal(size=(labels, width))
    return tuple(x / np.linalg.norm(x, axis=1, keepdims=True) for x in (rows, prototypes))


def test_parts_are_nearly_equal_where_nearest_prototypes_are_not():
    rows, prototypes = (x.astype(np.float32) for x in problem())
    nearest = np.bincount(np.argmax(rows @ prototypes.T, axis=1), minlength=6)
    out = losses.equal_parts(rows, prototypes)
    counts = np.bincount(out.assignments, minlength=6)
    # The plan's columns are equal; labels, its rounding, are within half of a part.
    assert nearest.min() == 0 and np.all(np.abs(counts - 64 / 6) < 64 / 6 / 2)


def test_rows_left_out_do_not_count_and_have_no_label():
    rows, prototypes = problem()
    kept = np.arange(len(rows)) % 4 > 0
    with jax.enable_x64(True):
        out = losses.equal_parts(rows, prototypes, kept=kept)
        alone = losses.equal_parts(rows[kept], prototypes)
    np.testing.assert_allclose(out.offsets, alone.offsets, rtol=1e-9)
    np.testing.assert_array_equal(out.assignments[kept], alone.assignments)
    assert np.all(np.asarray(out.assignments)[~kept] == -1)
    none = losses.equal_parts(rows, prototypes, kept=np.zeros(len(rows), bool))
    assert np.all(np.asarray(none.assignments) == -1)


def test_labels_are_the_same_on_eight_devices():
    rows, prototypes = problem()
    mesh = jax.make_mesh((8,), ("i",), (jax.sharding.AxisType.Auto,))
    with jax.enable_x64(True):
        one = losses.equal_parts(rows, prototypes)
        mapped = jax.shard_map(
            functools.partial(losses.equal_parts, axis_name="i"),
            mesh=mesh,
            in_specs=(P("i"), P()),
            out_specs=losses.Parts(P("i"), P()),
        )
        sharded = jax.device_put(rows, jax.NamedSharding(mesh, P("i")))
        for eight in (
            jax.jit(mapped)(rows, prototypes),
            jax.jit(losses.equal_parts)(sharded, prototypes),
        ):
            np.testing.assert_allclose(eight.offsets, one.offsets, rtol=1e-9)
            np.testing.assert_array_equal(eight.assignments, one.assignments)


def test_it_ends_after_the_most_steps():
    """One step: the labels' factors follow from equal factors of the rows."""
    rows, prototypes = problem()
    with jax.enable_x64(True):
        out = losses.equal_parts(rows, prototypes, most=1, tolerance=1e-300)
    p = softmax(10 * rows @ prototypes.T) ** 25
    np.testing.assert_allclose(out.offsets, -np.log(6 * p.mean(0)), rtol=1e-9)


def test_the_loss_is_that_of_deepcluster_v2():
    """Whose numbers are the reference's."""
    scores = np.random.default_rng(0).normal(size=(3, 8, 4)).astype(np.float32)
    given = {"assignments": np.arange(8) % 5 - 1, "temperature": 0.2}
    ours, theirs = losses.sela_v2(scores, **given), losses.deepcluster_v2(scores, **given)
    np.testing.assert_array_equal(ours.loss, theirs.loss)
