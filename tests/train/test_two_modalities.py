"""Images beside captions, and beside sounds: any number of devices, stopped and continued."""

import itertools
import json

import jax
import numpy as np
import pytest
from etils import epath
from helpers import pairs

import jax_bt
from jax_bt import data
from jax_bt.devices.mesh import make_mesh, to_global
from jax_bt.train import build, checkpoint
from jax_bt.train.loop import step_input, train

KINDS = {
    "captions, VICReg": (pairs.of_pairs("vicreg"), pairs.source),
    "sounds, Barlow Twins": (pairs.of_sounds("barlow_twins"), pairs.source_of_sounds),
}


def run_of(kind, devices):
    c, source = KINDS[kind]
    c.optimizer.name, c.optimizer.learning_rate = "sgd", 0.16  # moves by the gradient itself
    reads = build.read_data(c)
    source = data.prepared(source(), reads.recipes, reads.train)
    return build.build(c, make_mesh(jax.devices()[:devices]), train_size=64, **source.facts), source


def trained(run, source, steps, start=0, state=None):
    """The state behind these steps, on batches as a run loads them."""
    made = data.batches(
        source,
        "train",
        global_batch=run.data.batch_size,
        seed=0,
        recipes=run.data.recipes,
        start_step=start,
    )
    state, losses = run.init_state() if state is None else state, []
    for batch in itertools.islice(made, steps):
        state, metrics = run.train_step(state, to_global(run.mesh, step_input(run, batch)))
        losses.append(float(metrics.terms["loss"]))
    return state, losses


@pytest.mark.parametrize("kind", KINDS)
def test_one_device_and_eight_train_alike(kind):
    """Sums over shards round otherwise, by 1e-7, which three steps magnify."""
    one, losses = trained(*run_of(kind, 1), 3)
    eight, losses_8 = trained(*run_of(kind, 8), 3)
    assert np.ptp(losses) > 1e-3
    np.testing.assert_allclose(losses_8, losses, rtol=1e-4)
    one, eight = (jax.tree.leaves((s.params, s.batch_stats)) for s in (one, eight))
    for a, b in zip(one, eight, strict=True):
        np.testing.assert_allclose(b, a, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("kind", KINDS)
def test_resuming_is_bitwise_the_same(kind, tmp_path):
    run, source = run_of(kind, 1)
    whole, losses = trained(run, source, 4)
    half, first = trained(run, source, 2)
    with checkpoint.opened(epath.Path(tmp_path)) as manager:
        checkpoint.save(manager, half)
    with checkpoint.opened(epath.Path(tmp_path)) as manager:
        restored = checkpoint.restore(manager, run.init_state(), run.mesh)
    resumed, second = trained(run, source, 2, start=2, state=restored)
    assert first + second == losses
    for a, b in zip(jax.tree.leaves(whole.params), jax.tree.leaves(resumed.params), strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_whole_run_keeps_its_vocabulary(tmp_path, capsys):
    summary = train(pairs.of_pairs(), tmp_path, images=pairs.source())
    assert summary["steps"] == 4
    words = (tmp_path / "vocabulary.txt").read_text().splitlines()
    assert words == ["<pad>", "<start>", "<end>", "<unk>", "blue", "green", "grey", "left", "on",
                     "red", "right", "the"]  # fmt: skip
    record = json.loads((tmp_path / "run.json").read_text())
    assert record["data"]["words"] == len(words)
    said = capsys.readouterr().out
    assert "no labels, captions" in said and "not evaluated" not in said
    assert "caption query R@1" in said
    titles = [found["title"] for found in summary["retrieval"]]
    assert titles == ["untrained, projector outputs", "trained, projector outputs", "chance"]
    assert "trained, projector outputs" in (tmp_path / "report" / "index.html").read_text()
    pictures = {path.stem for path in (tmp_path / "report").glob("*.png")}
    assert {"losses", "correlation", "views"} <= pictures  # those of two unlike branches
    images, _ = pairs.arrays(3)
    for step in (None, 4):  # what the run left, and a checkpoint of both branches
        assert jax_bt.load(tmp_path, step=step)(images).shape == (3, 16)
