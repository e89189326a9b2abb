"""What every method keeps to: any number of devices, exact resuming, options that are refused."""

import functools

import jax
import numpy as np
import pytest

from jax_bt import checkpoint, methods

from . import tiny

make = functools.cache(tiny.make)


def test_the_files_are_the_methods():
    assert methods.names() == [
        "barlow_twins", "byol", "imax", "moco_v2", "moco_v3",
        "simclr", "simsiam", "swav", "vicreg", "w_mse",
    ]  # fmt: skip


@pytest.mark.parametrize("name", methods.names())
def test_one_device_and_eight_train_alike(name):
    """Four steps: the losses, and all that the state holds at the end."""
    one, losses = tiny.train(make(name), range(4))
    eight, losses_8 = tiny.train(make(name, devices=8), range(4))
    assert np.ptp(losses) > 1e-3  # something happens
    np.testing.assert_allclose(losses_8, losses, rtol=2e-4)
    for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(eight), strict=True):
        if not jax.dtypes.issubdtype(a.dtype, jax.dtypes.prng_key):
            np.testing.assert_allclose(b, a, rtol=5e-3, atol=5e-4)


@pytest.mark.parametrize("name", methods.names())
def test_resuming_is_bitwise_the_same(name, tmp_path):
    run = make(name)
    whole, losses = tiny.train(run, range(4))
    half, first = tiny.train(run, range(2))
    with checkpoint.open(tmp_path) as manager:
        checkpoint.save(manager, half)
        checkpoint.wait(manager)
        restored = checkpoint.restore(manager, run.state, run.mesh)
    resumed, second = tiny.train(run, range(2, 4), restored)
    assert first + second == losses
    for a, b in zip(jax.tree.leaves(whole), jax.tree.leaves(resumed), strict=True):
        assert a.dtype == b.dtype
        if jax.dtypes.issubdtype(a.dtype, jax.dtypes.prng_key):
            a, b = jax.random.key_data(a), jax.random.key_data(b)
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("name", methods.names())
def test_a_misspelt_option_is_refused_with_the_valid_names(name):
    method = methods.load(name)
    with pytest.raises(ValueError, match=f"{name} has no loss option 'temprature': it has"):
        methods.check(method, loss={"temprature": 1.0}, target={})
    with pytest.raises(ValueError, match="has no target option 'axis_name'"):
        methods.check(method, loss={}, target={"axis_name": "data"})
    with pytest.raises(ValueError, match="has no heads option 'projektor': it has projector"):
        methods.make_networks(method, {"name": "resnet_small"}, {"projektor": (8, 8)})


def test_an_unknown_method_is_refused_with_the_valid_names():
    with pytest.raises(ValueError, match="no method 'barlow': choose one of barlow_twins, byol"):
        methods.load("barlow")


def test_options_passed_on_are_those_of_the_formula():
    methods.check(methods.load("barlow_twins"), loss={"lambd": 0.01, "form": "gram"}, target={})
    with pytest.raises(ValueError, match="lambda.*it has stop_gradient, lambd, form, terms"):
        methods.check(methods.load("barlow_twins"), loss={"lambda": 0.01}, target={})
