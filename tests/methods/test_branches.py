"""The asymmetries of the papers as switches: predictor, stop-gradient, momentum, own weights."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jax_bt import losses, methods, models
from jax_bt.errors import UsageError
from jax_bt.methods import Method, _branches
from jax_bt.models.heads import MLP

from . import formulas, tiny

ALLOW_SEPARATE = ["barlow_twins", "frossl", "imax", "simclr", "vicreg", "vse", "w_mse"]


def start(name, **options):
    nets = tiny.networks(name, **options)
    return nets, jax.jit(nets.init)(jax.random.key(0))


def loss_and_gradient(name, nets, variables, target=(), count=2, **options):
    """((loss, outputs), gradients) of the method's options."""
    method = Method(methods.load(name), loss_options=options)

    @jax.jit
    def run(params):
        def loss(params):
            moving = {**variables, "params": params}
            return method.loss(nets, moving, target, tiny.views(0, count), tiny.context())

        return jax.value_and_grad(loss, has_aux=True)(params)

    return run(variables["params"])


def embeddings(nets, variables, *behind, count=2):
    """What encoder, projector and the heads behind them make of each view."""
    names = ("encoder", "projector", *behind)
    return [tiny.through(nets, variables, view, *names) for view in tiny.views(0, count)]


def largest(tree):
    return max(float(jnp.abs(leaf).max()) for leaf in jax.tree.leaves(tree))


@pytest.mark.parametrize("name", ["barlow_twins", "vicreg"])
def test_separate_branches_have_weights_and_gradients_of_their_own(name):
    nets, variables = start(name, encoder_b=MLP((12,), output_norm="affine"))
    params = variables["params"]
    assert sorted(params) == ["encoder", "encoder_b", "projector", "projector_b"]
    (value, _), grads = loss_and_gradient(name, nets, variables)
    assert all(largest(grads[n]) > 1e-5 for n in params)
    view_a, view_b = tiny.views(0)
    z_a = tiny.through(nets, variables, view_a, "encoder", "projector")
    z_b = tiny.through(nets, variables, view_b, "encoder_b", "projector_b")
    expected = formulas.barlow_twins(z_a, z_b)
    if name == "vicreg":
        expected = 25 * formulas.invariance(z_a, z_b) + 25 * formulas.variance(z_a, z_b)
        expected += formulas.covariance(z_a, z_b)
    np.testing.assert_allclose(value, expected, rtol=1e-5)


@pytest.mark.parametrize("name", ALLOW_SEPARATE)
def test_branches_may_have_different_encoders(name):
    nets = methods.make_networks(
        methods.load(name),
        models.make("resnet_small", features=8),
        {"projector": (16, 8)},
        encoder_b=models.make("resnet18", features=4, stem="cifar"),
        inputs=(8, 8, 3),
    )
    assert list(nets.modules) == ["encoder", "projector", "encoder_b", "projector_b"]
    if name != "vicreg":
        return
    params = jax.eval_shape(nets.init, jax.random.key(0))["params"]
    assert params["projector"]["linear_0"]["kernel"].shape == (32, 16)
    assert params["projector_b"]["linear_0"]["kernel"].shape == (32, 16)
    assert "layer4_0" in params["encoder_b"] and "layer4_0" not in params["encoder"]


@pytest.mark.parametrize("name", sorted(set(methods.names()) - set(ALLOW_SEPARATE)))
def test_methods_of_one_network_refuse_a_second(name):
    small = models.make("resnet_small")
    with pytest.raises(UsageError, match=f'{name} has no separate branches: use branches="shared"'):
        methods.make_networks(methods.load(name), small, {}, encoder_b=small, inputs=(8, 8, 3))


@pytest.mark.parametrize("name", ["barlow_twins", "vicreg"])
def test_stop_gradient_keeps_the_value_and_half_of_the_gradient_between_views(name):
    """The loss is the mean of both directions, each with the gradient of one side alone."""
    nets, variables = start(name)
    (plain, _), full = loss_and_gradient(name, nets, variables)
    (held, _), part = loss_and_gradient(name, nets, variables, stop_gradient=True)
    np.testing.assert_allclose(held, plain, rtol=1e-5)
    half = full
    if name == "vicreg":  # variance and covariance, of one view each, keep all of theirs

        def invariance(params):
            z_a, z_b = embeddings(nets, {**variables, "params": params})
            return 25 * jnp.mean(jnp.square(z_a - z_b))

        half = jax.jit(jax.grad(invariance))(variables["params"])
    for all_of_it, left, shared in zip(*map(jax.tree.leaves, (full, part, half)), strict=True):
        np.testing.assert_allclose(all_of_it - left, shared / 2, rtol=1e-3, atol=1e-5)
    assert largest(half) > 0.1


def test_targets_held_still_have_exactly_no_gradient():
    nets, variables = start("barlow_twins")

    def targets(params, **options):
        moving = {**variables, "params": params}
        out = _branches.run(nets, moving, (), tiny.views(0), **options)
        return sum(jnp.sum(jnp.square(t)) for t in out.targets)

    held = jax.jit(jax.grad(lambda p: targets(p, stop_gradient=True)))(variables["params"])
    assert largest(held) == 0
    assert largest(jax.jit(jax.grad(targets))(variables["params"])) > 1


@pytest.mark.parametrize("name", ["barlow_twins", "vicreg"])
def test_predictor_meets_the_other_views_embedding(name):
    nets, variables = start(name, predictor=(16, 8))
    (value, out), grads = loss_and_gradient(name, nets, variables)
    assert largest(grads["predictor"]) > 1e-4
    z_a, z_b = embeddings(nets, variables)
    p_a, p_b = embeddings(nets, variables, "predictor")
    check_directions(name, value, out, (p_a, z_b), (p_b, z_a), (z_a, z_b))


@pytest.mark.parametrize("name", ["barlow_twins", "vicreg"])
def test_momentum_encoder_makes_the_other_views_target(name):
    nets, variables = start(name)
    target = tiny.others(variables)
    (value, out), _ = loss_and_gradient(name, nets, variables, target)
    (z_a, z_b), (t_a, t_b) = (embeddings(nets, v) for v in (variables, target))
    assert np.abs(z_a - t_a).max() > 0.1
    check_directions(name, value, out, (z_a, t_b), (z_b, t_a), (z_a, z_b))


def check_directions(name, value, out, forth, back, trained):
    """The mean over (prediction, target) both ways; variance and covariance of the embeddings."""
    if name == "barlow_twins":
        expected = (formulas.barlow_twins(*forth) + formulas.barlow_twins(*back)) / 2
    else:
        invariance = (formulas.invariance(*forth) + formulas.invariance(*back)) / 2
        np.testing.assert_allclose(out.terms["invariance"], invariance, rtol=1e-4)
        variance, covariance = formulas.variance(*trained), formulas.covariance(*trained)
        expected = 25 * invariance + 25 * variance + covariance
    np.testing.assert_allclose(value, expected, rtol=1e-4)


@pytest.mark.parametrize("name", ["byol", "simsiam"])
def test_variance_and_covariance_can_be_added(name):
    """1 and 0.01 times VICReg's terms of the embeddings, beside the loss of the predictions."""
    nets, variables = start(name)
    target = tiny.others(variables) if name == "byol" else ()
    (plain, out), _ = loss_and_gradient(name, nets, variables, target)
    p_a, p_b = embeddings(nets, variables, "predictor")
    z_a, z_b = embeddings(nets, variables)
    t_a, t_b = embeddings(nets, target or variables)
    agreement = formulas.cosine(p_a, t_b) + formulas.cosine(p_b, t_a)
    expected = 4 - 2 * agreement if name == "byol" else -agreement / 2
    np.testing.assert_allclose(plain, expected, rtol=1e-5)
    assert set(out.terms) == {"loss"}

    weights = {"variance_weight": 1.0, "covariance_weight": 0.01}
    (value, out), _ = loss_and_gradient(name, nets, variables, target, **weights)
    variance, covariance = formulas.variance(z_a, z_b), formulas.covariance(z_a, z_b)
    np.testing.assert_allclose(value, expected + variance + 0.01 * covariance, rtol=1e-5)
    np.testing.assert_allclose(out.terms["variance"], variance, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(out.terms["covariance"], covariance, rtol=1e-4)
    assert covariance > 0.01
    # SimSiam's projector ends in batch norm, so that the hinge at 1 has nothing left to do.
    assert (variance > 0.01) == (name == "byol")


def test_simsiam_without_predictor_is_the_stop_gradient_alone():
    nets, variables = start("simsiam", predictor=())
    (value, _), grads = loss_and_gradient("simsiam", nets, variables)
    assert "predictor" not in grads and largest(grads) > 1e-4
    np.testing.assert_allclose(value, -formulas.cosine(*embeddings(nets, variables)), rtol=1e-5)


def test_more_than_two_views_are_compared_pair_by_pair():
    nets, variables = start("barlow_twins")
    (value, _), _ = loss_and_gradient("barlow_twins", nets, variables, count=4)
    z = embeddings(nets, variables, count=4)
    pairs = [formulas.barlow_twins(*pair) for pair in itertools.combinations(z, 2)]
    np.testing.assert_allclose(value, np.mean(pairs), rtol=1e-5)


@pytest.mark.parametrize("count", [2, 4])
def test_w_mse_whitens_the_batch_as_it_comes(count):
    nets, variables = start("w_mse", projector=(16, 4))
    (value, _), _ = loss_and_gradient("w_mse", nets, variables, count=count, whitening_size=8)
    rows = np.arange(16).reshape(2, 8)
    expected = formulas.w_mse(embeddings(nets, variables, count=count), rows)
    np.testing.assert_allclose(value, expected, rtol=1e-4)


def test_w_mse_takes_the_mean_over_random_draws_of_sub_batches(monkeypatch):
    nets, variables = start("w_mse", projector=(16, 4))
    drawn, w_mse = [], losses.w_mse

    def recorded(*views, permutation, **options):
        drawn.append(np.asarray(permutation))
        return w_mse(*views, permutation=permutation, **options)

    monkeypatch.setattr(losses, "w_mse", recorded)
    method = Method(methods.load("w_mse"), loss_options={"iterations": 3, "whitening_size": 8})
    values = [
        float(method.loss(nets, variables, (), tiny.views(0), tiny.context(seed=seed))[0])
        for seed in (0, 0, 1)
    ]
    z = embeddings(nets, variables)
    for value, draws in zip(values, drawn, strict=True):
        assert draws.shape == (3, 2, 8)  # each draw has every example once
        assert (np.sort(draws.reshape(3, 16)) == np.arange(16)).all()
        np.testing.assert_allclose(value, formulas.w_mse(z, draws.reshape(-1, 8)), rtol=1e-4)
    assert len({rows.tobytes() for rows in drawn[0]}) == 3
    assert (drawn[0] == drawn[1]).all() and (drawn[0] != drawn[2]).any()  # by the step's key


def test_vicreg_weighs_the_branches_apart():
    nets, variables = start("vicreg")
    z_a, z_b = embeddings(nets, variables)
    (value, _), _ = loss_and_gradient(
        "vicreg", nets, variables, variance_weight_b=10.0, covariance_weight_b=3.0
    )
    expected = 25 * formulas.invariance(z_a, z_b)
    # A view beside itself has its terms twice.
    for z, mu, nu in ((z_a, 25, 1), (z_b, 10, 3)):
        expected += (mu * formulas.variance(z, z) + nu * formulas.covariance(z, z)) / 2
    np.testing.assert_allclose(value, expected, rtol=1e-5)


def test_vicreg_warns_of_weights_that_collapse():
    nets, variables = start("vicreg")
    with pytest.warns(UserWarning, match=r"weights \(25, 0, 1\).*Table 7"):
        loss_and_gradient("vicreg", nets, variables, variance_weight=0.0)
