"""The asymmetries of the papers as switches: predictor, stop-gradient, momentum, own weights."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jax_bt import losses, methods
from jax_bt.methods import branches

from . import tiny

ALLOW_SEPARATE = ["barlow_twins", "imax", "simclr", "vicreg", "w_mse"]


def start(name, **options):
    nets = tiny.networks(name, **options)
    return nets, nets.init(jax.random.key(0), jnp.zeros((1, tiny.INPUTS)))


def loss_and_gradient(name, nets, variables, target=(), count=2, **options):
    method = methods.load(name)
    options |= methods.wanted(method.loss, {"key": jax.random.key(0)})

    @jax.jit
    def run(params):
        def loss(params):
            moving = {**variables, "params": params}
            views = tiny.views(0, count)
            return method.loss(nets, moving, target, views, axis_name=None, **options)

        return jax.value_and_grad(loss, has_aux=True)(params)

    return run(variables["params"])


def largest(tree):
    return max(float(jnp.abs(leaf).max()) for leaf in jax.tree.leaves(tree))


@pytest.mark.parametrize("name", ["simclr", "vicreg"])
def test_separate_branches_have_weights_and_gradients_of_their_own(name):
    nets, variables = start(name, separate=True)
    params = variables["params"]
    assert sorted(params) == ["encoder", "encoder_b", "projector", "projector_b"]
    a, b = (params[n]["linear_0"]["kernel"] for n in ("encoder", "encoder_b"))
    assert np.abs(a - b).max() > 0.1
    _, grads = loss_and_gradient(name, nets, variables)
    assert all(largest(grads[n]) > 1e-5 for n in params)


@pytest.mark.parametrize("name", ALLOW_SEPARATE)
def test_branches_may_have_different_encoders(name):
    nets = methods.make_networks(
        methods.load(name),
        {"name": "resnet_small", "features": 8},
        {"projector": (16, 8)},
        encoder_b={"name": "resnet18", "features": 4, "stem": "cifar"},
    )
    assert list(nets.modules) == ["encoder", "projector", "encoder_b", "projector_b"]
    if name != "vicreg":
        return
    images = jnp.zeros((1, 8, 8, 3))
    params = jax.eval_shape(lambda: nets.init(jax.random.key(0), images))["params"]
    assert params["projector"]["linear_0"]["kernel"].shape == (32, 16)
    assert params["projector_b"]["linear_0"]["kernel"].shape == (32, 16)
    assert "layer4_0" in params["encoder_b"] and "layer4_0" not in params["encoder"]


@pytest.mark.parametrize("name", sorted(set(methods.names()) - set(ALLOW_SEPARATE)))
def test_methods_of_one_network_refuse_a_second(name):
    small = {"name": "resnet_small"}
    with pytest.raises(ValueError, match=f'{name} has no separate branches: use branches="shared"'):
        methods.make_networks(methods.load(name), small, {}, encoder_b=small)


@pytest.mark.parametrize("name", ["barlow_twins", "vicreg"])
def test_stop_gradient_keeps_the_value_and_one_sides_gradient(name):
    """Both directions are averaged, so that half of the symmetric terms' gradient is left."""
    nets, variables = start(name)
    (plain, _), full = loss_and_gradient(name, nets, variables)
    (held, _), part = loss_and_gradient(name, nets, variables, stop_gradient=True)
    np.testing.assert_allclose(held, plain, rtol=1e-5)
    kernel, half = (g["projector"]["linear_1"]["kernel"] for g in (full, part))
    if name == "barlow_twins":
        np.testing.assert_allclose(half, kernel / 2, rtol=1e-3, atol=1e-6)
    else:  # variance and covariance keep all of theirs
        assert 1e-3 < np.abs(half - kernel).max()


def test_targets_held_still_have_exactly_no_gradient():
    nets, variables = start("barlow_twins")

    def targets(params, **options):
        moving = {**variables, "params": params}
        out = branches.run(nets, moving, (), tiny.views(0), **options)
        return sum(jnp.sum(jnp.square(t)) for t in out.targets)

    held = jax.jit(jax.grad(lambda p: targets(p, stop_gradient=True)))(variables["params"])
    assert largest(held) == 0
    assert largest(jax.jit(jax.grad(targets))(variables["params"])) > 1


@pytest.mark.parametrize("name", ["barlow_twins", "vicreg"])
def test_predictor_meets_the_other_views_embedding(name):
    nets, variables = start(name, predictor=(16, 8))
    (value, out), grads = loss_and_gradient(name, nets, variables)
    assert largest(grads["predictor"]) > 1e-4
    passed = jax.jit(lambda v: branches.run(nets, v, (), tiny.views(0)))(variables)
    (p_a, p_b), (z_a, z_b) = passed.predictions, passed.embeddings
    if name == "barlow_twins":
        pairs = [losses.barlow_twins(p_a, z_b).loss, losses.barlow_twins(p_b, z_a).loss]
        expected = sum(pairs) / 2
    else:
        invariance = (jnp.mean((p_a - z_b) ** 2) + jnp.mean((p_b - z_a) ** 2)) / 2
        spread = losses.vicreg(z_a, z_b, invariance_weight=0.0).loss
        expected = 25 * invariance + spread
        np.testing.assert_allclose(out.terms["invariance"], invariance, rtol=1e-4)
    np.testing.assert_allclose(value, expected, rtol=1e-4)


def test_momentum_encoder_makes_the_targets():
    """It is a copy at the start, follows with its momentum, and is met by the other view."""
    run = tiny.make("vicreg", target={"momentum": 0.75, "cosine": False})
    after, _ = tiny.train(run, range(1))
    before = run.state.target["params"]["projector"]["linear_0"]["kernel"]
    np.testing.assert_array_equal(before, run.state.params["projector"]["linear_0"]["kernel"])
    moved = 0.75 * before + 0.25 * after.params["projector"]["linear_0"]["kernel"]
    kernel = after.target["params"]["projector"]["linear_0"]["kernel"]
    np.testing.assert_allclose(kernel, moved, rtol=1e-6, atol=1e-7)
    assert tiny.make("vicreg").state.target == ()


@pytest.mark.parametrize("name", ["byol", "simsiam"])
def test_variance_and_covariance_can_be_added(name):
    nets, variables = start(name)
    target = jax.tree.map(lambda x: x, variables) if name == "byol" else ()
    (plain, out), _ = loss_and_gradient(name, nets, variables, target)
    assert set(out.terms) == {"loss"}
    weights = {"variance_weight": 1.0, "covariance_weight": 0.01}
    (value, out), _ = loss_and_gradient(name, nets, variables, target, **weights)
    spread = losses.vicreg(*out.embeddings, invariance_weight=0.0, **weights)
    np.testing.assert_allclose(value, plain + spread.loss, rtol=1e-5)
    np.testing.assert_allclose(out.terms["covariance"], spread.covariance, rtol=1e-4)
    assert float(spread.covariance) > 0.01
    # SimSiam's projector ends in batch norm: its variance is that of VICReg's hinge already.
    assert (float(out.terms["variance"]) > 0.01) == (name == "byol")


def test_simsiam_without_predictor_is_the_stop_gradient_alone():
    nets, variables = start("simsiam", predictor=())
    (value, out), grads = loss_and_gradient("simsiam", nets, variables)
    assert "predictor" not in grads and largest(grads) > 1e-4
    expected = losses.simsiam(*out.embeddings, *out.embeddings).loss
    np.testing.assert_allclose(value, expected, rtol=1e-5)


@pytest.mark.parametrize("name", ["barlow_twins", "w_mse"])
def test_more_than_two_views_are_compared_pair_by_pair(name):
    nets, variables = start(name)
    options = {"whitening_size": 16} if name == "w_mse" else {}
    (value, out), _ = loss_and_gradient(name, nets, variables, count=4, **options)
    assert len(out.embeddings) == 4
    expected = getattr(losses, name)(*out.embeddings, **options).loss
    np.testing.assert_allclose(value, expected, rtol=1e-5)


def test_w_mse_whitens_random_sub_batches():
    """Each draw of the step's key splits the batch anew; one draw takes it as it comes."""
    nets, variables = start("w_mse", projector=(16, 4))
    values = [
        float(loss_and_gradient("w_mse", nets, variables, whitening_size=8, **options)[0][0])
        for options in ({}, {"iterations": 20})
    ]
    assert values[0] != values[1]
    np.testing.assert_allclose(values[1], values[0], rtol=0.3)


def test_vicreg_warns_of_weights_that_collapse():
    nets, variables = start("vicreg")
    with pytest.warns(UserWarning, match=r"weights \(25, 0, 1\).*Table 7"):
        loss_and_gradient("vicreg", nets, variables, variance_weight=0.0)
