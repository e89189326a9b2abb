"""The methods since VICReg: heads, what they keep, views beyond two, and the mixed view."""

import warnings

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from etils import epath

from jax_bt import methods
from jax_bt.devices.mesh import to_global
from jax_bt.errors import UsageError
from jax_bt.methods import Method
from jax_bt.train import checkpoint

from . import formulas, tiny
from .test_heads import described

HEADS = {
    "lejepa": {"projector": "2048-kb-2048-n-kb-2048-n-kb-128"},
    "visreg": {"projector": "2048-kb-2048-n-kb-2048-n-kb-256"},
    "frossl": {"projector": "2048-kb-2048-n-kb-2048-n-kb-1024"},
    "mmcr": {"projector": "2048-k-8192-n-k-8192-n-k-512"},
    "tcr": {"projector": "2048-kb-4096-n-kb-4096-n-kb-1024"},
    "cor_info_max": {"projector": "2048-kb-8192-n-kb-8192-n-k-512"},
    "tico": {"projector": "2048-k-4096-n-kb-256"},
    "mixed_barlow_twins": {"projector": "2048-k-8192-n-k-8192-n-k-8192"},
    "mec": {
        "projector": "2048-k-2048-n-k-2048-n-k-2048-p",
        "predictor": "2048-k-512-n-kb-2048",
    },
}
MANY = ["lejepa", "visreg", "frossl", "mmcr", "tcr"]  # of any number of views
MOMENTUM = {"momentum": 0.75}
PREDICTOR = {"predictor": (16, 8)}


@pytest.mark.parametrize("name", HEADS)
def test_heads_are_the_references(name):
    """Letters as in test_heads.py."""
    made = methods.load(name).heads(2048)
    assert {role: described(head, 2048) for role, head in made.items()} == HEADS[name]


def test_mixed_barlow_twins_head_on_cifar_has_a_last_bias():
    (head,) = (
        methods.load("mixed_barlow_twins").heads(512, projector=(512, 1024), bias=True).values()
    )
    assert described(head, 512) == "512-k-512-n-kb-1024"


def test_vibcregs_head_is_vicregs_with_a_norm_behind_it():
    (head,) = methods.load("vicreg").heads(512, projector=(2048, 2048, 2048), iter_norm=64).values()
    assert described(head, 512) == "512-kb-2048-n-kb-2048-n-k-2048-n"


def train_on(run, count, steps=3):
    """Losses and the last state of steps on so many views."""
    state, losses = jax.tree.map(jnp.copy, run.state), []
    for i in range(steps):
        batch = to_global(run.mesh, {"views": tiny.views(i, count)})
        state, metrics = run.step(state, batch)
        losses.append(float(metrics.terms["loss"]))
    return losses, state


@pytest.mark.parametrize("name", MANY)
def test_four_views_train_alike_on_one_and_eight_devices(name):
    options = {"lam": 0.5} if name in ("lejepa", "visreg", "mmcr") else {}
    (one, state), (eight, state_8) = (
        train_on(tiny.make(name, loss=options, devices=devices), 4) for devices in (1, 8)
    )
    assert np.ptp(one) > 1e-3
    # Tolerances of test_every_method.py: sums over shards round otherwise.
    np.testing.assert_allclose(eight, one, rtol=2e-4)
    for a, b in zip(jax.tree.leaves(state.params), jax.tree.leaves(state_8.params), strict=True):
        np.testing.assert_allclose(b, a, rtol=5e-3, atol=5e-4)


@pytest.mark.parametrize("name", ["cor_info_max", "tico", "mixed_barlow_twins", "mec"])
def test_methods_of_two_views_refuse_another_number(name):
    with pytest.raises(UsageError, match=f"{name} compares 2 views and the recipe has 4"):
        Method(methods.load(name)).check_views(4)


@pytest.mark.parametrize("name", ["cor_info_max", "tico", "mec", "mmcr"])
def test_what_is_kept_resumes_bitwise(name, tmp_path):
    target = {} if name == "cor_info_max" else MOMENTUM
    run = tiny.make(name, target=target, **(PREDICTOR if name == "mec" else {}))
    whole, losses = tiny.train(run, range(4))
    half, first = tiny.train(run, range(2))
    folder = epath.Path(tmp_path)
    with checkpoint.opened(folder) as manager:
        checkpoint.save(manager, half)
    with checkpoint.opened(folder) as manager:
        restored = checkpoint.restore(manager, run.state, run.mesh)
    resumed, second = tiny.train(run, range(2, 4), restored)
    assert first + second == losses
    assert len(jax.tree.leaves(whole.target)) >= 2
    for a, b in zip(jax.tree.leaves(whole.target), jax.tree.leaves(resumed.target), strict=True):
        np.testing.assert_array_equal(a, b)


def embeddings(nets, variables, *behind):
    """What encoder, projector and the heads behind them make of the first batch's views."""
    names = ("encoder", "projector", *behind)
    return [np.float64(tiny.through(nets, variables, v, *names)) for v in tiny.views(0)]


def test_cor_info_max_keeps_the_running_covariance_of_each_view():
    """Unit rows; weight la on the OLD statistics; means move before the covariances."""
    run = tiny.make("cor_info_max", loss={"la": 0.3, "sim_weight": 10.0}, devices=8)
    start = run.state.target
    np.testing.assert_array_equal(start.R, [np.eye(8)] * 2)
    np.testing.assert_array_equal(start.mu, np.zeros((2, 8)))
    after, (loss,) = tiny.train(run, range(1))
    nets = tiny.networks("cor_info_max")
    z = [formulas.unit(x) for x in embeddings(nets, tiny.variables(run.state))]
    expected = 10 * formulas.invariance(*z)
    for view, (R, mu) in enumerate(zip(after.target.R, after.target.mu, strict=True)):
        mean = 0.7 * z[view].mean(0)
        spread = z[view] - mean
        covariance = 0.3 * np.eye(8) + 0.7 * spread.T @ spread / len(spread)
        np.testing.assert_allclose(mu, mean, rtol=1e-4, atol=1e-6)
        np.testing.assert_allclose(R, covariance, rtol=1e-4, atol=1e-6)
        expected -= np.linalg.slogdet(covariance)[1] / 8
    np.testing.assert_allclose(loss, expected, rtol=1e-5)


def test_tico_keeps_second_moments_and_a_momentum_network():
    """C of the first view; the network moves for the next step, with that step's share."""
    run = tiny.make("tico", loss={"beta": 0.6}, target=MOMENTUM, devices=8)
    after, (loss,) = tiny.train(run, range(1))
    nets, variables = tiny.networks("tico"), tiny.variables(run.state)
    z_a, z_b = (formulas.unit(z) for z in embeddings(nets, variables))
    C = 0.4 * z_a.T @ z_a / len(z_a)
    np.testing.assert_allclose(after.target["C"], C, rtol=1e-4, atol=1e-6)
    expected = 1 - formulas.cosine(z_a, z_b) + 8 * np.mean(np.sum(z_a @ C * z_a, axis=1))
    np.testing.assert_allclose(loss, expected, rtol=1e-5)
    share = 1 - 0.25 * (1 + np.cos(np.pi / tiny.STEPS)) / 2
    for name in ("encoder", "projector"):
        old, new, moved = (
            np.asarray(params[name]["linear_0"]["kernel"])
            for params in (run.state.params, after.params, after.target["params"])
        )
        np.testing.assert_allclose(moved, share * old + (1 - share) * new, rtol=1e-5, atol=1e-6)
        assert np.abs(moved - old).max() > 1e-4


def test_mec_warms_up_and_its_teacher_follows():
    """The series by hand, at 8 N eps / D in step 0 of a warm-up and at N eps / D without one."""
    count, width, eps = tiny.BATCH, 8, 16.0
    nets = tiny.networks("mec", **PREDICTOR)
    for warmup_steps, factor in ((3, 8), (0, 1)):
        options = {"eps": eps, "warmup_steps": warmup_steps}
        run = tiny.make("mec", loss=options, target=MOMENTUM, devices=4, **PREDICTOR)
        after, losses = tiny.train(run, range(4))
        variables = tiny.variables(run.state)
        p = [formulas.unit(x) for x in embeddings(nets, variables, "predictor")]
        z = [formulas.unit(x) for x in embeddings(nets, variables)]
        lamda_inv = factor * count * eps / width
        value = 0.0
        for a, b in ((p[0], z[1]), (p[1], z[0])):
            c = a @ b.T / lamda_inv
            powers = [np.linalg.matrix_power(c, k) for k in (1, 2, 3, 4)]
            value += sum((-1) ** k / (k + 1) * np.trace(m) for k, m in enumerate(powers))
        np.testing.assert_allclose(losses[0], -lamda_inv * value / (2 * count), rtol=1e-4)
    first, _ = tiny.train(run, range(1))
    old, new, moved = (
        np.asarray(params["encoder"]["linear_0"]["kernel"])
        for params in (run.state.params, first.params, first.target["params"])
    )
    np.testing.assert_allclose(moved, 0.75 * old + 0.25 * new, rtol=1e-5, atol=1e-7)
    assert sorted(after.target["params"]) == ["encoder", "projector"]  # no predictor


def test_mmcr_with_a_momentum_network_takes_both_networks_centroids():
    run = tiny.make("mmcr", target={"momentum": 0.75, "cosine": False})
    state, _ = tiny.train(run, range(1))  # the networks differ from here on
    _, (loss,) = tiny.train(run, range(1, 2), state)
    nets, x = tiny.networks("mmcr"), np.concatenate(tiny.views(1))
    rows = [
        formulas.unit(tiny.through(nets, variables, x, "encoder", "projector"))
        for variables in (tiny.variables(state), state.target)
    ]
    centroids = sum(z.reshape(2, tiny.BATCH, -1).mean(0) for z in rows) / 2
    singular = np.linalg.svd(centroids, compute_uv=False)
    np.testing.assert_allclose(loss, -np.sum(singular), rtol=1e-5)
    moved = np.asarray(state.target["params"]["encoder"]["linear_0"]["kernel"])
    assert np.abs(moved - state.params["encoder"]["linear_0"]["kernel"]).max() > 1e-4


@pytest.mark.parametrize("devices", [1, 8])
def test_the_mixed_view_has_the_next_example_of_the_global_batch(devices):
    """alpha a + (1 - alpha) b', through the networks as a third view; correlations by hand."""
    options = {"lambd": 0.1, "mixup_loss_scale": 2.0}
    run = tiny.make("mixed_barlow_twins", loss=options, devices=devices)
    _, (loss,) = tiny.train(run, range(1))
    key = jax.random.fold_in(jax.random.fold_in(run.state.key, 2), 0)  # of the steps, step 0
    alpha = float(jax.random.uniform(key))
    a, b = tiny.views(0)
    nets, variables = tiny.networks("mixed_barlow_twins"), tiny.variables(run.state)
    mixed = alpha * a + (1 - alpha) * np.roll(b, -1, axis=0)
    z_a, z_b, z_m = (
        np.float64(tiny.through(nets, variables, x, "encoder", "projector")) for x in (a, b, mixed)
    )
    z_a, z_b, z_m = ((z - z.mean(0)) / z.std(0, ddof=1) for z in (z_a, z_b, z_m))
    c = z_a.T @ z_b / len(a)
    expected = np.sum((np.diag(c) - 1) ** 2) + 0.1 * formulas.off_diagonal(c)
    for z in (z_a, z_b):
        goal = alpha * z_a.T @ z + (1 - alpha) * np.roll(z_b, -1, axis=0).T @ z
        expected += 2.0 * 0.1 * np.sum(((z_m.T @ z - goal) / len(a)) ** 2)
    np.testing.assert_allclose(loss, expected, rtol=1e-4)


def test_the_mixed_views_weight_warms_up():
    """Nothing of it in the first step, half of it in the third of four, all of it after them."""
    runs = [
        tiny.make("mixed_barlow_twins", loss={"lambd": 0.1, **options})
        for options in ({"warmup_steps": 4}, {}, {"mixup_loss_scale": 0.0})
    ]
    values = []
    for run in runs:
        state = run.state.replace(step=jnp.asarray(2))
        values.append(tiny.train(run, range(1), state)[1][0])
    warm, whole, without = values
    np.testing.assert_allclose(warm - without, (whole - without) / 2, rtol=1e-3)
    (first,) = tiny.train(runs[0], range(1))[1]
    (plain,) = tiny.train(runs[2], range(1))[1]
    np.testing.assert_allclose(first, plain, rtol=1e-6)


def test_directions_are_drawn_anew_at_each_step():
    """SIGReg of the same embeddings, along other directions."""
    run = tiny.make("lejepa", loss={"convention": "package", "slices": 4})
    values = []
    for step in (0, 1):
        state = run.state.replace(step=jnp.asarray(step))
        values.append(tiny.train(run, range(1), state)[1][0])
    assert abs(values[0] - values[1]) > 1e-3 * abs(values[0])


def test_tcr_and_cor_info_max_do_not_see_the_embeddings_length():
    """Their codes normalise in the projector: twice as long is the same loss."""
    for name in ("tcr", "cor_info_max"):
        run = tiny.make(name)
        last = run.state.params["projector"]["linear_1"]
        longer = jax.tree.map(lambda x: 2 * x, last)
        params = {**run.state.params}
        params["projector"] = {**params["projector"], "linear_1": longer}
        values = [
            tiny.train(run, range(1), s)[1] for s in (run.state, run.state.replace(params=params))
        ]
        np.testing.assert_allclose(values[1], values[0], rtol=1e-5)


def test_hsic_barlow_twins_by_hand():
    """Rows of unit length, torch's std, C over N, and off-diagonal correlations drawn to -1."""
    options = {"lambd": 0.1, "off_diagonal": "neg_one", "ddof": 1, "eps": 0.0, "unit_rows": True}
    run = tiny.make("barlow_twins", loss=options, devices=8)
    _, (loss,) = tiny.train(run, range(1))
    z = [
        formulas.unit(x)
        for x in embeddings(tiny.networks("barlow_twins"), tiny.variables(run.state))
    ]
    z_a, z_b = ((x - x.mean(0)) / x.std(0, ddof=1) for x in z)
    c = z_a.T @ z_b / len(z_a)
    off = c[~np.eye(len(c), dtype=bool)]
    expected = np.sum((np.diag(c) - 1) ** 2) + 0.1 * np.sum((off + 1) ** 2)
    np.testing.assert_allclose(loss, expected, rtol=1e-5)


def test_vibcreg_by_hand():
    """Correlations over D^2, variance not halved, of embeddings that IterNorm whitened."""
    head = {"activation": "gelu", "iter_norm": 4}
    options = {"correlation": True, "halve_variance": False, "covariance_weight": 200.0}
    run = tiny.make("vicreg", loss=options, devices=8, **head)
    with warnings.catch_warnings():  # weights of VIbCReg, about which VICReg would warn
        warnings.simplefilter("error")
        _, (loss,) = tiny.train(run, range(1))
    z = embeddings(tiny.networks("vicreg", **head), tiny.variables(run.state))
    correlations = sum(formulas.off_diagonal(np.corrcoef(x, rowvar=False)) for x in z) / 8**2
    expected = 25 * formulas.invariance(*z) + 50 * formulas.variance(*z) + 200 * correlations
    np.testing.assert_allclose(loss, expected, rtol=1e-5)
