"""The heads on maps against a hand-written loop, on several devices, and the papers' numbers."""

import importlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jax_bt import evaluate
from jax_bt.devices.mesh import make_mesh
from jax_bt.errors import UsageError
from jax_bt.evaluate._frozen import fit

module = importlib.import_module("jax_bt.evaluate.places_inat")
CLASSES = 3
PRESET = module.Maps(
    title="", learning_rate=0.05, epochs=3, drops=(1, 2), weight_decay=0.01, nesterov=True
)


def identity(variables, maps):
    return maps


@pytest.fixture(scope="module")
def batches():
    random = np.random.default_rng(0)
    y = random.integers(0, CLASSES, 64)
    centres = random.normal(size=(CLASSES, 4, 5, 2))
    x = (centres[y] + 2 * random.normal(size=(64, 4, 5, 2)) + 3).astype(np.float32)
    made = [{"image": x[i : i + 16], "label": y[i : i + 16]} for i in range(0, 64, 16)]
    return made[:2], made[2:]


def run(batches, devices=1, encode=identity, preset=PRESET, **options):
    train, test = batches
    states = []
    result = module.run(
        encode,
        {},
        lambda epoch: train,
        test,
        preset,
        classes=CLASSES,
        mesh=make_mesh(jax.devices()[:devices]),
        on_epoch=states.append,
        **options,
    )
    return result, states


def pooled(x, size):
    """Means of all windows that leave size x size places, (B, places, C)."""
    h, w = 4 - size + 1, 5 - size + 1
    corners = [(i, j) for i in range(size) for j in range(size)]
    return jnp.stack([x[:, i : i + h, j : j + w].mean(axis=(1, 2)) for i, j in corners], axis=1)


def by_hand(batches, kernel, size):
    """One head written out, with torch's SGD and its batch norm."""

    def loss(p, x, y):
        m = x.mean(axis=(0, 1))
        v = ((x - m) ** 2).mean(axis=(0, 1))
        z = (x - m) / jnp.sqrt(v + 1e-5) * p["scale"] + p["shift"]
        logits = z.reshape(len(z), -1) @ p["kernel"] + p["bias"]
        p_y = jnp.exp(logits)[jnp.arange(len(y)), y] / jnp.exp(logits).sum(axis=1)
        return -jnp.log(p_y).mean()

    gradient, channels = jax.jit(jax.grad(loss)), 2
    p = {"kernel": kernel, "bias": jnp.zeros(CLASSES)}
    p |= {"scale": jnp.ones(channels), "shift": jnp.zeros(channels)}
    buffer = {k: 0.0 for k in p}
    mean, var = jnp.zeros(channels), jnp.ones(channels)
    for rate in (0.05, 0.005, 0.0005):
        for batch in batches[0]:
            x = pooled(batch["image"], size)
            g = gradient(p, x, batch["label"])
            for k in p:
                step = g[k] + (0.01 * p[k] if k in ("kernel", "bias") else 0)
                buffer[k] = 0.9 * buffer[k] + step
                p[k] = p[k] - rate * (step + 0.9 * buffer[k])
            count = x.shape[0] * x.shape[1]
            mean = 0.9 * mean + 0.1 * x.mean(axis=(0, 1))
            var = 0.9 * var + 0.1 * x.var(axis=(0, 1)) * count / (count - 1)
    return p, mean, var


@pytest.mark.parametrize("devices", [1, 8])
def test_matches_the_protocol_written_out(batches, devices):
    result, states = run(batches, devices)
    start = first_weights(batches)
    for name, size in module.HEADS.items():
        wanted, mean, var = by_hand(batches, start[name], size)
        found = states[-1].variables[name]
        params = {
            **found["params"]["linear"],
            "scale": found["params"]["norm"]["scale"],
            "shift": found["params"]["norm"]["bias"],
        }
        # float32 and six steps with momentum: 1e-6 of values near 1.
        for key, value in wanted.items():
            np.testing.assert_allclose(params[key], value, rtol=0, atol=1e-5, err_msg=key)
        np.testing.assert_allclose(found["batch_stats"]["mean"], mean, rtol=0, atol=1e-5)
        np.testing.assert_allclose(found["batch_stats"]["var"], var, rtol=0, atol=1e-4)
        right = []
        for batch in batches[1]:
            z = (pooled(batch["image"], size) - mean) / jnp.sqrt(var + 1e-5)
            z = z * wanted["scale"] + wanted["shift"]
            logits = z.reshape(len(z), -1) @ wanted["kernel"] + wanted["bias"]
            right.append(logits.argmax(axis=1) == batch["label"])
        assert result["settings"][name]["last_top1"] == 100 * np.mean(right)
    assert list(result["settings"]) == ["res5", "res5avg"]


def first_weights(batches):
    """The linear layers before the first step: what a run of no epochs gives back."""
    classifiers = {
        name: module.Classifier(
            init=lambda key, features, name=name: module._init(name, CLASSES, key, features),
            apply=None,
            optimizer=lambda rate: module._optimizer(PRESET, rate),
            rate=None,
        )
        for name in module.HEADS
    }
    state = fit(
        lambda variables, maps: module._pooled(identity, variables, maps),
        {},
        classifiers,
        None,
        batches[1],
        classes=CLASSES,
        epochs=0,
    )
    return {name: v["params"]["linear"]["kernel"] for name, v in state.variables.items()}


def test_maps_of_resnet50_become_8192_and_2048_numbers():
    maps = jax.ShapeDtypeStruct((2, 7, 7, 2048), jnp.bfloat16)
    pooled = jax.eval_shape(lambda x: module._pooled(identity, {}, x), maps)
    assert {name: x.shape[1:] for name, x in pooled.items()} == {
        "res5": (2, 2, 2048),
        "res5avg": (1, 1, 2048),
    }
    assert all(x.dtype == jnp.float32 for x in pooled.values())


def test_goes_on_where_it_was_cut_off(batches):
    whole, states = run(batches)
    rest, later = run(batches, resume=lambda fresh: states[0])
    assert rest == whole and len(later) == 2


def test_refuses_features_and_numbers(batches):
    with pytest.raises(ValueError, match=r"must give maps .*, got \(16, 2\)"):
        run(batches, encode=lambda variables, x: x.mean(axis=(1, 2)))
    with pytest.raises(UsageError, match="epochs=0"):
        module.Maps(title="", learning_rate=0.1, epochs=0, drops=(), weight_decay=0)


def test_presets_are_the_published_numbers():
    vicreg = evaluate.find("places_inat_places_vicreg").preset
    np.testing.assert_allclose([vicreg.rate(e) for e in (3, 4, 12, 27)], [3e-3, 3e-4, 3e-6, 3e-6])
    assert vicreg.published["VICReg"] == {"top1": 54.3}
    inat = evaluate.find("places_inat_inat_vicreg").preset
    assert (inat.learning_rate, inat.epochs, inat.weight_decay) == (0.005, 84, 1e-4)
    assert inat.published["Barlow Twins"] == {"top1": 46.5}
