"""Projectors, predictors, prototypes: layers, initialisation, one device and eight."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import PartitionSpec as P

from jax_bt import stats
from jax_bt.devices.mesh import AXIS, make_mesh
from jax_bt.models import MLP, Linear


def paths(module, width=6):
    made = jax.eval_shape(module.init, jax.random.key(0), jnp.zeros((1, width)))
    leaves = jax.tree_util.tree_leaves_with_path(made)
    return {jax.tree_util.keystr(p, simple=True, separator="/"): x.shape for p, x in leaves}


def test_barlow_projector_has_no_bias_under_norms_and_a_bare_output():
    assert paths(MLP((4, 5, 3))) == {
        "params/linear_0/kernel": (6, 4),
        "params/bn_0/scale": (4,),
        "params/bn_0/bias": (4,),
        "params/linear_1/kernel": (4, 5),
        "params/bn_1/scale": (5,),
        "params/bn_1/bias": (5,),
        "params/linear_2/kernel": (5, 3),
        "batch_stats/bn_0/mean": (4,),
        "batch_stats/bn_0/var": (4,),
        "batch_stats/bn_1/mean": (5,),
        "batch_stats/bn_1/var": (5,),
    }


def test_options_add_and_remove_layers():
    plain = paths(MLP((4, 3), output_norm="plain"))
    assert plain["batch_stats/bn_1/mean"] == (3,) and "params/bn_1/scale" not in plain
    affine = paths(MLP((4, 3), output_norm="affine"))
    assert affine["params/bn_1/scale"] == affine["params/bn_1/bias"] == (3,)
    scaled = paths(MLP((4, 3), output_norm="scale"))
    assert scaled["params/bn_1/scale"] == (3,) and "params/bn_1/bias" not in scaled
    biased = paths(MLP((4, 3), hidden_bias=True, output_bias=True, norm=False))
    assert biased == {
        "params/linear_0/kernel": (6, 4),
        "params/linear_0/bias": (4,),
        "params/linear_1/kernel": (4, 3),
        "params/linear_1/bias": (3,),
    }


def test_mlp_is_its_formula():
    module = MLP((4, 3), hidden_bias=True, output_bias=True, output_norm="plain")
    rng = np.random.default_rng(0)
    x = rng.normal(size=(8, 6))
    made = module.init(jax.random.key(0), jnp.zeros((1, 6)))
    made = jax.tree.map(lambda w: rng.uniform(0.5, 1.5, w.shape), made)
    params = made["params"]

    def norm(x):
        return (x - x.mean(0)) / np.sqrt(x.var(0) + 1e-5)

    hidden = norm(x @ params["linear_0"]["kernel"] + params["linear_0"]["bias"])
    hidden = np.maximum(hidden * params["bn_0"]["scale"] + params["bn_0"]["bias"], 0)
    expected = norm(hidden @ params["linear_1"]["kernel"] + params["linear_1"]["bias"])
    with jax.enable_x64(True):
        module = module.clone(param_dtype=jnp.float64)
        y, _ = module.apply(made, jnp.asarray(x), True, mutable=["batch_stats"])
        assert y.dtype == jnp.float64
        np.testing.assert_allclose(y, expected, rtol=1e-12, atol=1e-12)


def test_vibcregs_projector_has_the_exact_gelu_and_whitens():
    module = MLP((4, 6), norm=False, activation="gelu", output_norm="iterative", output_groups=3)
    rng = np.random.default_rng(0)
    x, first, last = (rng.normal(size=shape) for shape in ((16, 6), (6, 4), (4, 6)))
    made = module.init(jax.random.key(0), jnp.zeros((1, 6)))
    assert made["batch_stats"]["bn_1"]["whitening"].shape == (3, 2, 2)
    with jax.enable_x64(True):
        params = jax.tree.map(np.float64, made["params"])
        params["linear_0"]["kernel"], params["linear_1"]["kernel"] = first, last
        given = jax.tree.map(np.float64, made) | {"params": params}
        y = module.clone(param_dtype=jnp.float64).apply(given, x)  # running mean 0, W = I
        hidden = x @ first
        phi = np.vectorize(math.erf)(hidden / math.sqrt(2)) / 2 + 0.5
        np.testing.assert_allclose(y, (hidden * phi) @ last, rtol=1e-12)


def test_linear_starts_as_torchs():
    params = Linear(500).init(jax.random.key(0), jnp.zeros((1, 400)))["params"]
    for leaf in (params["kernel"], params["bias"]):
        values = np.asarray(leaf)
        # uniform on +-1/20: extremes within the bounds and near them, deviation 1/20/sqrt 3
        assert -0.05 <= values.min() < -0.049 and 0.049 < values.max() <= 0.05
        np.testing.assert_allclose(values.std(), 0.05 / np.sqrt(3), rtol=0.05)
    other = Linear(500).init(jax.random.key(1), jnp.zeros((1, 400)))["params"]
    correlation = np.corrcoef(np.ravel(params["kernel"]), np.ravel(other["kernel"]))[0, 1]
    assert abs(correlation) < 0.01
    rows = np.asarray(params["kernel"]).reshape(-1)
    assert len(np.unique(rows)) > 0.95 * rows.size  # no block is drawn twice


def test_eight_devices_are_one():
    x = np.random.default_rng(0).normal(1.0, 2.0, (32, 6))
    target = np.random.default_rng(1).normal(size=(32, 3))
    made = MLP((8, 3), output_norm="plain").init(jax.random.key(0), np.float32(x[:1]))
    made = jax.tree.map(np.float64, made)

    def outcome(axis_name):
        module = MLP((8, 3), output_norm="plain", axis_name=axis_name)

        def loss(params, x, target):
            y, new = module.apply(made | {"params": params}, x, True, mutable=["batch_stats"])
            return stats.mean(y * target, (0, 1), axis_name), new["batch_stats"]

        if axis_name is not None:
            specs = {"in_specs": (P(), P(AXIS), P(AXIS)), "out_specs": (P(), P())}
            loss = jax.shard_map(loss, mesh=make_mesh(), **specs)
        return jax.jit(jax.value_and_grad(loss, has_aux=True))(made["params"], x, target)

    with jax.enable_x64(True):
        eight, one = outcome(AXIS), outcome(None)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-12), eight, one)


def test_bfloat16_computes_narrow_and_keeps_float32_parameters():
    module = MLP((8, 3), dtype=jnp.bfloat16)
    made = module.init(jax.random.key(0), jnp.zeros((1, 6)))
    assert {leaf.dtype for leaf in jax.tree.leaves(made)} == {jnp.dtype("float32")}
    assert module.apply(made, jnp.zeros((2, 6))).dtype == jnp.bfloat16


def test_choices_are_named():
    with pytest.raises(
        ValueError, match="output_norm='batch' is not one of none, affine, scale, plain, iter"
    ):
        paths(MLP((3,), output_norm="batch"))
    with pytest.raises(ValueError, match="activation='tanh': use relu or gelu"):
        paths(MLP((3,), activation="tanh"))
    with pytest.raises(ValueError, match="widths is empty"):
        paths(MLP(()))
