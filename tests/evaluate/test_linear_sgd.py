"""The linear evaluation against the reference's trace, on several devices, and its promises."""

import importlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jax_bt import evaluate, models, optim
from jax_bt.devices.mesh import make_mesh
from jax_bt.errors import DataError, UsageError
from jax_bt.evaluate._frozen import State, fingerprint

module = importlib.import_module("jax_bt.evaluate.linear_sgd")
ONE = make_mesh(jax.devices()[:1])
CASES = ["probe_sgd_10classes", "probe_sgd_5classes_wd"]


def identity(variables, x):
    return x


def reference_run(g, devices=1, learning_rates=(), batch=40, **options):
    """The protocol on the reference's features, batches, first weights and numbers."""
    rate, momentum, decay, epochs = g["hyper"].tolist()
    preset = module.Sgd(
        title="",
        learning_rates=(rate, *learning_rates),
        momentum=momentum,
        weight_decay=decay,
        epochs=int(epochs),
    )
    classes = len(g["init/weight"])
    params = {"kernel": g["init/weight"].T, "bias": np.zeros(classes, np.float32)}
    opt_state = optim.sgd(rate).init(params)
    names = list(preset.peaks)
    start = State(
        0, {name: {"params": params} for name in names}, {name: opt_state for name in names}
    )
    x, y = g["test_x"], g["test_y"]
    test = [{"image": x[i : i + batch], "label": y[i : i + batch]} for i in range(0, len(x), batch)]

    def train(epoch):
        for rows in g["order"][epoch]:
            yield {"image": g["train_x"][rows], "label": g["train_y"][rows]}

    states = []
    options = {"resume": lambda fresh: start, "on_epoch": states.append} | options
    result = module.run(
        identity,
        {},
        train,
        test,
        preset,
        classes=classes,
        mesh=make_mesh(jax.devices()[:devices]),
        **options,
    )
    return result, states, names


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("devices", [1, 8])
def test_matches_the_reference(golden, name, devices):
    g = golden(name)
    result, states, (setting, *_) = reference_run(g, devices)
    lines = [record[setting] for record in result["history"]]
    np.testing.assert_allclose([line["rate"] for line in lines], g["lr"], rtol=1e-12)
    # float32 against float64 over 60 steps of momentum: about 60 * 6e-8 * 10 of the largest weight.
    for i, state in enumerate(states):
        params = state.variables[setting]["params"]
        np.testing.assert_allclose(params["kernel"].T, g["weight"][i], rtol=0, atol=2e-5)
        np.testing.assert_allclose(params["bias"], g["bias"][i], rtol=0, atol=2e-5)
    steps = g["order"].shape[1]
    loss = g["loss"].reshape(-1, steps).mean(axis=1)
    np.testing.assert_allclose([line["loss"] for line in lines], loss, rtol=1e-5)
    # One of 150 examples is 0.7 percent; the reference divides in float32.
    for key in ("top1", "top5"):
        np.testing.assert_allclose([line[key] for line in lines], g[key], atol=1e-4)
    best = [result["top1"], result["top5"]]
    np.testing.assert_allclose(best, g["best"][-1], atol=1e-4)
    last = [result["last_top1"], result["last_top5"]]
    np.testing.assert_allclose(last, [g["top1"][-1], g["top5"][-1]], atol=1e-4)


def test_a_sweep_gives_what_single_runs_give(golden):
    g = golden(CASES[1])
    alone, *_ = reference_run(g)
    sweep, states, names = reference_run(g, learning_rates=(0.001, 3.0))
    assert names == ["0.1", "0.001", "3"]
    assert sweep["settings"]["0.1"] == pytest.approx(alone["settings"]["0.1"])
    assert len({s["last_top1"] for s in sweep["settings"].values()}) == 3
    best = max(s["top1"] for s in sweep["settings"].values())
    assert sweep["top1"] == sweep["settings"][sweep["setting"]]["top1"] == best


def test_the_number_of_devices_does_not_matter(golden):
    """Test batches of 37 divide over no mesh; the accuracies are the same to the digit."""
    g = golden(CASES[0])
    runs = [reference_run(g, devices, batch=37) for devices in (1, 2, 8)]
    keys = ("top1", "top5", "last_top1", "last_top5", "settings")
    one, two, eight = ({key: run[0][key] for key in keys} for run in runs)
    assert one == two == eight
    kernels = [states[-1].variables["0.3"]["params"]["kernel"] for _, states, _ in runs]
    np.testing.assert_allclose(kernels[0], kernels[2], rtol=0, atol=2e-5)


def test_goes_on_where_it_was_cut_off(golden):
    g = golden(CASES[1])
    whole, states, _ = reference_run(g)
    # What a file would give back: arrays of the host.
    kept = jax.tree.map(np.asarray, states[4]._replace(history=()))
    kept = kept._replace(epoch=5, history=states[4].history)
    rest, later, _ = reference_run(g, resume=lambda fresh: kept)
    assert len(later) == 7
    assert rest == whole


def test_a_batch_that_does_not_divide_is_computed_exactly(golden):
    g = dict(golden(CASES[0]))
    g["order"] = g["order"][:, :, :27]
    (one, one_states, _), (eight, eight_states, _) = (reference_run(g, n) for n in (1, 8))
    assert one["settings"] == eight["settings"]
    a, b = (s[-1].variables["0.3"]["params"]["kernel"] for s in (one_states, eight_states))
    np.testing.assert_allclose(a, b, rtol=0, atol=2e-5)


def small_encoder(train):
    encoder = models.MLP((6, 5))  # with batch norm
    images = np.random.default_rng(0).normal(size=(8, 12)).astype(np.float32)
    variables = encoder.init(jax.random.key(0), images)

    def encode(variables, images):
        if train:
            return encoder.apply(variables, images, train=True, mutable=["batch_stats"])[0]
        return encoder.apply(variables, images)

    return encode, variables, images


def small_run(train=False, **options):
    encode, variables, images = small_encoder(train)
    batch = {"image": images, "label": np.arange(8) % 2}
    preset = module.Sgd(title="", learning_rates=(0.1,), epochs=2)
    return module.run(
        encode, variables, lambda epoch: [batch], [batch], preset, classes=2, mesh=ONE, **options
    )


def test_the_encoder_is_frozen():
    small_run()
    with pytest.raises(ValueError, match="depend on the other images of its batch"):
        small_run(train=True)


def test_a_changed_encoder_is_seen():
    encode, variables, images = small_encoder(False)
    variables = jax.tree.map(np.array, variables)

    def spoil(state):
        variables["params"]["linear_0"]["kernel"][0, 0] += 1e-6

    batch = {"image": images, "label": np.arange(8) % 2}
    preset = module.Sgd(title="", epochs=2)
    with pytest.raises(RuntimeError, match="frozen encoder changed"):
        module.run(
            encode,
            variables,
            lambda epoch: [batch],
            [batch],
            preset,
            classes=2,
            mesh=ONE,
            on_epoch=spoil,
        )


def test_fingerprint_sees_exchanged_and_single_bits():
    x = np.arange(12, dtype=np.float32)
    swapped, flipped = x.copy(), x.copy()
    swapped[[3, 4]] = swapped[[4, 3]]
    flipped.view(np.uint32)[7] ^= 1
    trees = [{"a": x}, {"a": swapped}, {"a": flipped}, {"a": x[::-1].copy()}]
    assert len({fingerprint(tree) for tree in trees}) == 4
    assert fingerprint({"a": x}) == fingerprint({"a": jnp.asarray(x)})


def test_labels_carry_the_information():
    """One-hot features are learnt, features of permuted labels are not."""
    random = np.random.default_rng(0)
    y = random.integers(0, 5, 400)
    x = np.eye(5, dtype=np.float32)[y]
    preset = module.Sgd(title="", learning_rates=(1.0,), epochs=5)

    def accuracy(labels):
        batches = [{"image": x[i : i + 50], "label": labels[i : i + 50]} for i in range(0, 400, 50)]
        train, test = batches[:4], batches[4:]
        result = module.run(identity, {}, lambda e: train, test, preset, classes=5, mesh=ONE)
        return result["last_top1"]

    assert accuracy(y) == 100
    assert accuracy(random.permutation(y)) < 40  # 20 by chance, 200 test examples: 7 deviations


def test_presets_are_the_published_numbers():
    bt = evaluate.find("linear_sgd").preset
    assert bt is evaluate.find("linear_sgd_barlow_twins").preset
    rates = [module.cosine(0.3, bt.epochs, epoch) for epoch in (0, 50, 99)]
    np.testing.assert_allclose(rates, [0.3, 0.15, 7.4e-5], rtol=1e-3)
    assert evaluate.find("linear_sgd_vicreg").preset.peaks == {"0.02": 0.02}
    assert evaluate.find("linear_sgd_moco_v3").preset.peaks == {"0.1": 0.4}
    assert evaluate.find("linear_sgd_simsiam").preset.peaks == {"0.1": pytest.approx(1.6)}
    assert len(evaluate.find("linear_sgd_byol").preset.peaks) == 5


def test_larc_runs_and_differs(golden):
    random = np.random.default_rng(0)
    batch = {"image": random.normal(size=(16, 4)).astype(np.float32), "label": np.arange(16) % 3}
    losses = []
    for larc in (False, True):
        preset = module.Sgd(title="", learning_rates=(1.0,), epochs=3, larc=larc)
        result = module.run(identity, {}, lambda e: [batch], [batch], preset, classes=3, mesh=ONE)
        losses.append(result["history"][-1]["1"]["loss"])
    assert losses[0] < losses[1] < np.log(3)  # LARC's first steps are 1000 times shorter


@pytest.mark.parametrize(
    ("numbers", "message"),
    [
        ({"learning_rates": ()}, "give at least one"),
        ({"learning_rates": (0.1, 0.0)}, "above 0"),
        ({"epochs": 0}, "epochs=0 must be at least 1"),
    ],
)
def test_refuses_numbers(numbers, message):
    with pytest.raises(UsageError, match=message):
        module.Sgd(title="", **numbers)


@pytest.mark.parametrize(
    ("test", "message"),
    [
        ([], "no batches to test on"),
        ([(2, 3)], "no batches to train on in epoch 0"),
        ([(2, 3), (3, 3)], "3 examples after a first of 2"),
        ([(2, 3, 3)], r"must give \(B, features\), got \(1, 3, 3\)"),
    ],
)
def test_says_what_is_wrong(test, message):
    test = [{"image": np.ones(s, np.float32), "label": np.zeros(s[0], int)} for s in test]
    preset = evaluate.find("linear_sgd").preset
    with pytest.raises(ValueError, match=message):
        module.run(identity, {}, lambda epoch: [], test, preset, classes=2, mesh=ONE)


@pytest.mark.parametrize(("train", "test", "wrong"), [([0, 2], [0, 1], 2), ([0, 1], [5, 1], 5)])
def test_a_label_that_is_no_class_is_refused(train, test, wrong):
    train, test = ({"image": np.eye(2), "label": np.array(label)} for label in (train, test))
    preset = evaluate.find("linear_sgd").preset
    with pytest.raises(DataError, match=f"the label {wrong} is not one of 0 .. 1"):
        module.run(identity, {}, lambda epoch: [train], [test], preset, classes=2, mesh=ONE)


def test_test_examples_without_a_label_do_not_count():
    batch = {"image": np.eye(2, dtype=np.float32), "label": np.array([0, 1])}
    test = {"image": np.eye(2, dtype=np.float32)[[0, 1, 0]], "label": np.array([0, 1, -1])}
    preset = module.Sgd(title="", epochs=3)
    result = module.run(identity, {}, lambda e: [batch], [test], preset, classes=2, mesh=ONE)
    assert result["last_top1"] == 100
