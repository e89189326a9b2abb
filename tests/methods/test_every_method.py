"""What every method keeps to: any number of devices, exact resuming, options that are refused."""

import functools

import jax
import numpy as np
import pytest
from etils import epath

from jax_bt import methods, models
from jax_bt.errors import UsageError
from jax_bt.methods import Method
from jax_bt.train import checkpoint

from . import tiny

make = functools.cache(tiny.make)


def test_the_files_are_the_methods():
    assert methods.names() == [
        "barlow_twins", "byol", "cor_info_max", "deepcluster_v2", "direct_clr", "frossl", "imax",
        "lejepa", "mec", "mixed_barlow_twins", "mmcr", "moco_v2", "moco_v3", "obow", "sela_v2",
        "simclr", "simsiam", "swav", "tcr", "tico", "vicreg", "vicregl", "visreg", "vse", "w_mse",
    ]  # fmt: skip


@pytest.mark.parametrize("name", methods.names())
def test_one_device_and_eight_train_alike(name):
    """Four steps: the losses, and all that the state holds at the end."""
    one, losses = tiny.train(make(name), range(4))
    eight, losses_8 = tiny.train(make(name, devices=8), range(4))
    assert np.ptp(losses) > 1e-3  # something happens
    # Sums over shards round otherwise, by 1e-7, which ill-conditioned steps (W-MSE, IMAX) magnify.
    np.testing.assert_allclose(losses_8, losses, rtol=2e-4)
    for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(eight), strict=True):
        if not jax.dtypes.issubdtype(a.dtype, jax.dtypes.prng_key):
            np.testing.assert_allclose(b, a, rtol=5e-3, atol=5e-4)


@pytest.mark.parametrize("name", methods.names())
def test_resuming_is_bitwise_the_same(name, tmp_path):
    run = make(name)
    whole, losses = tiny.train(run, range(4))
    half, first = tiny.train(run, range(2))
    folder = epath.Path(tmp_path)
    with checkpoint.opened(folder) as manager:
        checkpoint.save(manager, half)
    with checkpoint.opened(folder) as manager:
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
    module = methods.load(name)
    with pytest.raises(UsageError, match=f"{name} has no loss option 'temprature': it has"):
        Method(module, loss_options={"temprature": 1.0})
    with pytest.raises(UsageError, match="has no target option 'context': it has"):
        Method(module, target_options={"context": None})
    with pytest.raises(UsageError, match="has no heads option 'projektor': it has projector"):
        methods.make_networks(
            module, models.make("resnet_small"), {"projektor": (8, 8)}, inputs=(8, 8, 3)
        )


def test_an_unknown_method_is_refused_with_the_valid_names():
    with pytest.raises(UsageError, match="no method 'barlow': choose one of barlow_twins, byol"):
        methods.load("barlow")
    with pytest.raises(UsageError, match="no method '_branches'"):
        methods.load("_branches")
