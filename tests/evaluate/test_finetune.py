"""Fine-tuning against a hand-written loop, on several devices, and the papers' numbers."""

import dataclasses
import importlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jax_bt import evaluate, models
from jax_bt.devices.mesh import make_mesh
from jax_bt.errors import DataError, UsageError
from jax_bt.evaluate import _subsets
from jax_bt.evaluate._finetune_numbers import FineTuning

module = importlib.import_module("jax_bt.evaluate.finetune")
ENCODER = models.MLP((6,), output_norm="affine")  # Linear, BatchNorm
CLASSES = 3


def apply(variables, x, train):
    if not train:
        return ENCODER.apply(variables, x), variables["batch_stats"]
    y, new = ENCODER.apply(variables, x, train=True, mutable=["batch_stats"])
    return y, new["batch_stats"]


@pytest.fixture(scope="module")
def example():
    random = np.random.default_rng(0)
    y = random.integers(0, CLASSES, 80)
    centres = random.normal(size=(CLASSES, 5))
    x = (centres[y] + random.normal(size=(80, 5))).astype(np.float32)
    variables = jax.tree.map(np.asarray, ENCODER.init(jax.random.key(0), x))
    train = [{"image": x[i : i + 16], "label": y[i : i + 16]} for i in (0, 16, 32)]
    test = [{"image": x[48:], "label": y[48:]}]
    preset = dataclasses.replace(
        evaluate.find("finetune").preset,
        epochs=3,
        norm_group=4,
        encoder_rate=0.05,
        head_rate=0.5,
        weight_decay=0.01,
    )
    return variables, train, test, preset


def run(example, devices=1, resume=None, **changes):
    variables, train, test, preset = example
    states = []
    result = module.run(
        apply,
        variables,
        lambda epoch: train,
        lambda: iter(test),
        dataclasses.replace(preset, **changes),
        classes=CLASSES,
        mesh=make_mesh(jax.devices()[:devices]),
        resume=resume,
        on_epoch=states.append,
    )
    return result, states


def by_hand(example, head):
    """The protocol written out: groups of four one after the other, torch's SGD, no vmap."""
    variables, train, _, preset = example
    p = {**jax.tree.map(jnp.asarray, variables["params"]), "head": head}
    mean, var = (jnp.asarray(variables["batch_stats"]["bn_0"][k]) for k in ("mean", "var"))

    def loss(p, x, y):
        total, moments = 0.0, []
        for start in range(0, len(x), 4):
            z = x[start : start + 4] @ p["linear_0"]["kernel"]
            m, v = z.mean(0), ((z - z.mean(0)) ** 2).mean(0)
            moments.append((m, v * 4 / 3))
            z = (z - m) / jnp.sqrt(v + 1e-5) * p["bn_0"]["scale"] + p["bn_0"]["bias"]
            logits = z @ p["head"]["kernel"] + p["head"]["bias"]
            chosen = logits[jnp.arange(4), y[start : start + 4]]
            total += jnp.sum(jnp.log(jnp.sum(jnp.exp(logits), 1)) - chosen)
        return total / len(x), moments

    gradient = jax.jit(jax.value_and_grad(loss, has_aux=True))
    buffer, losses = jax.tree.map(jnp.zeros_like, p), []
    for epoch in range(preset.epochs):
        factor = (1 + np.cos(np.pi * epoch / preset.epochs)) / 2
        for batch in train:
            (value, moments), g = gradient(p, *batch.values())
            losses.append(float(value))
            g = jax.tree.map(lambda g, w: g + preset.weight_decay * w, g, p)
            buffer = jax.tree.map(lambda b, g: 0.9 * b + g, buffer, g)
            for name in p:
                rate = factor * (preset.head_rate if name == "head" else preset.encoder_rate)
                p[name] = {k: w - rate * buffer[name][k] for k, w in p[name].items()}
            mean = 0.9 * mean + 0.1 * sum(m for m, _ in moments) / len(moments)
            var = 0.9 * var + 0.1 * sum(v for _, v in moments) / len(moments)
    return p, mean, var, losses


@pytest.mark.parametrize("devices", [1, 8])
def test_matches_the_protocol_written_out(example, devices):
    variables, *_ = example
    features = jax.ShapeDtypeStruct((1, 6), jnp.float32)
    head = module.linear_init(CLASSES, jax.random.key(0), features)["params"]
    wanted, mean, var, losses = by_hand(example, head)
    result, states = run(example, devices)
    found = states[-1].variables
    params = {**found["params"]["encoder"], "head": found["params"]["head"]}
    # float32, nine steps with momentum: 1e-5 of values near 1.
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=0, atol=2e-5), params, wanted)
    stats = found["batch_stats"]["bn_0"]
    np.testing.assert_allclose(stats["mean"], mean, rtol=0, atol=2e-5)
    np.testing.assert_allclose(stats["var"], var, rtol=0, atol=1e-4)
    lines = [record["all"] for record in result["history"]]
    means = np.reshape(losses, (3, 3)).mean(axis=1)
    np.testing.assert_allclose([line["loss"] for line in lines], means, rtol=1e-4)
    np.testing.assert_allclose([line["rate"] for line in lines], [0.5, 0.375, 0.125])
    assert result["top1"] == max(line["top1"] for line in lines) > 50
    assert result["last_top1"] == lines[-1]["top1"]


def test_groups_of_images_matter_and_a_rest_is_one_group(example):
    losses = [run(example, norm_group=g)[0]["history"][0]["all"]["loss"] for g in (4, 8, None)]
    assert len(set(losses)) == 3
    variables, train, test, preset = example
    short = {name: x[:11] for name, x in train[0].items()}
    rest = (variables, [train[0], short], test, preset)
    one, eight = (run(rest, devices, epochs=1)[0] for devices in (1, 8))
    assert one["history"][0]["all"] == pytest.approx(eight["history"][0]["all"], rel=1e-5)


def test_a_rate_of_zero_keeps_the_encoder(example):
    variables, *_ = example
    _, states = run(example, encoder_rate=0.0)
    now = states[-1].variables["params"]["encoder"]
    jax.tree.map(np.testing.assert_array_equal, now, variables["params"])


def test_goes_on_where_it_was_cut_off(example):
    whole, states = run(example)
    rest, later = run(example, resume=lambda fresh: states[0])
    assert rest == whole and len(later) == 2


def test_presets_are_the_published_numbers():
    table = {
        "finetune_1pct_barlow_twins": (0.005, 0.5, 20, 55.0, 79.2),
        "finetune_10pct_barlow_twins": (0.005, 0.5, 20, 69.7, 89.3),
        "finetune_10pct_barlow_twins_paper": (0.002, 0.5, 20, 69.7, 89.3),
        "finetune_1pct_vicreg": (0.03, 0.08, 20, 54.8, 79.4),
        "finetune_10pct_vicreg": (0.01, 0.1, 20, 69.5, 89.5),
        "finetune_1pct_swav": (0.02, 5, 20, 53.9, 78.5),
        "finetune_10pct_swav": (0.01, 0.2, 20, 70.2, 89.9),
    }
    for name, wanted in table.items():
        preset = evaluate.find(name).preset
        (scores,) = preset.published.values()
        found = preset.encoder_rate, preset.head_rate, preset.epochs, *scores.values()
        assert found == wanted, name
        assert preset.subset == ("1percent" if "_1pct" in name else "10percent")
    paper = evaluate.find("finetune_1pct_barlow_twins_paper").preset
    factors = [paper.factor(epoch) for epoch in (0, 11, 12, 15, 16, 19)]
    np.testing.assert_allclose(factors, [1, 1, 0.2, 0.2, 0.04, 0.04])
    readme = evaluate.find("finetune_1pct_barlow_twins").preset
    np.testing.assert_allclose([readme.factor(e) for e in (0, 10)], [1, 0.5])


@pytest.mark.parametrize(
    ("numbers", "message"),
    [
        ({"epochs": 0}, "epochs=0 must be at least 1"),
        ({"head_rate": 0.0}, "head_rate=0.0 must be positive"),
        ({"encoder_rate": -1.0}, "encoder_rate=-1.0"),
    ],
)
def test_refuses_numbers(numbers, message):
    with pytest.raises(UsageError, match=message):
        FineTuning(title="", **numbers)


def test_lists_of_names(tmp_path):
    path = tmp_path / "list.txt"
    path.write_text("n01_7.JPEG\nn02_3.JPEG\n")
    wanted = _subsets.read_list(path)
    assert [_subsets.class_of(name) for name in wanted] == ["n01", "n02"]
    names = ["n02/n02_3.JPEG", "n01/n01_1.JPEG", "n01/n01_7.JPEG"]
    assert _subsets.select(wanted, names).tolist() == [2, 0]
    with pytest.raises(DataError, match="1 of 2 listed examples .*, 'n01_7.JPEG' first"):
        _subsets.select(wanted, names[:2])
    path.write_text("a\nb\na\n")
    with pytest.raises(DataError, match="'a' is there 2 times"):
        _subsets.read_list(path)
    path.write_text("\n")
    with pytest.raises(DataError, match="is empty"):
        _subsets.read_list(path)
    with pytest.raises(DataError, match="no list of names"):
        _subsets.read_list(tmp_path / "none.txt")
