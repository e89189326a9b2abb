"""ConvNeXts against torchvision's, in float64 with weights regenerated from a recipe.

The golden copy has one image: its gradient, every third pixel, stands for those of the parameters,
which finite differences check on top. What VICRegL changes, the place of the norm and the missing
scale, is checked by their formulas.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jax_bt import models, weights
from jax_bt.models.convnext import ConvNeXt

TYPES = {"dtype": jnp.float64, "param_dtype": jnp.float64}
SIZES = {"depths": (1, 1, 2, 1), "dims": (16, 32, 64, 128)}


def close(actual, expected, tolerance, what=""):
    """Equal up to ``tolerance`` times the largest expected magnitude."""
    atol = tolerance * np.abs(expected).max()
    np.testing.assert_allclose(actual, expected, rtol=0, atol=atol, err_msg=what)


@pytest.fixture(scope="module")
def net(golden, recipe_weights):
    """(module, parameters, images, golden file), in float64."""
    data = golden("convnext_torchvision_forward")
    with jax.enable_x64(True):
        module = models.make("convnext_tiny", **SIZES, **TYPES)
        found = weights.from_state_dict(module, recipe_weights(data))
        params = jax.tree.map(lambda w: jnp.asarray(w, jnp.float64), found["params"])
        images = jnp.asarray(data["x"].transpose(0, 2, 3, 1), jnp.float64)
    return module, params, images, data


def test_torchvision_parity(net):
    module, params, images, data = net
    with jax.enable_x64(True):

        @jax.jit
        def scalar(params, images):
            vectors = module.apply({"params": params}, images)
            return jnp.sum(vectors * data["R"]), vectors

        gradient = jax.jit(jax.grad(scalar, argnums=(0, 1), has_aux=True))
        (grads, grad_x), vectors = gradient(params, images)
        # Ours leaves 1e-15 where the file has float64 and 4e-8, its rounding, where float32.
        assert vectors.dtype == jnp.float64
        close(vectors, data["pooled"], 1e-12, "pooled")
        grad_x = np.transpose(grad_x, (0, 3, 1, 2))
        close(grad_x[:, :, ::3, ::3], data["grad_x"], 2e-7, "grad_x")

        # Along a random direction: the error of central differences is h^2, the rounding 1e-16 / h.
        rng, h = np.random.default_rng(0), 1e-5
        way = jax.tree.map(lambda p: rng.normal(size=p.shape) / np.sqrt(p.size), params)

        def at(step):
            return scalar(jax.tree.map(lambda p, d: p + step * d, params, way), images)[0]

        slope = (at(h) - at(-h)) / (2 * h)
        ours = jax.tree.reduce(jnp.add, jax.tree.map(lambda g, d: jnp.sum(g * d), grads, way))
        np.testing.assert_allclose(ours, slope, rtol=1e-6)


def norm(x, parameters):
    """LayerNorm over the last axis, epsilon 1e-6."""
    x = (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-6)
    return x * parameters["scale"] + parameters["bias"]


def test_norm_first_norms_every_position(net):
    module, params, images, _ = net
    with jax.enable_x64(True):
        first = module.clone(norm_first=True)
        moved = {("norm_pre" if k == "head_norm" else k): v for k, v in params.items()}
        vectors, seen = first.apply({"params": moved}, images, mutable=["intermediates"])
        maps = seen["intermediates"]
        expected = norm(np.asarray(maps["layer4"][0]), moved["norm_pre"])
        close(maps["maps"][0], expected, 1e-12)
        close(vectors, expected.mean((1, 2)), 1e-12)
        last, _ = module.apply({"params": params}, images, mutable=["intermediates"])
        close(last, norm(np.asarray(maps["layer4"][0]).mean((1, 2)), params["head_norm"]), 1e-12)


def test_no_layer_scale_is_a_scale_of_one(net):
    module, params, images, _ = net
    with jax.enable_x64(True):
        plain = {
            name: {k: v for k, v in own.items() if k != "gamma"} for name, own in params.items()
        }
        ones = {
            name: own | ({"gamma": jnp.ones_like(own["gamma"])} if "gamma" in own else {})
            for name, own in params.items()
        }
        without = module.clone(layer_scale=0.0).apply({"params": plain}, images)
        close(without, module.apply({"params": ones}, images), 1e-14)


@pytest.mark.parametrize(
    ("name", "parameters"),
    [  # torchvision's published counts less the classifier's 1000 x (width + 1)
        ("convnext_tiny", 28_589_128 - 769_000),
        ("convnext_small", 50_223_688 - 769_000),
        ("convnext_base", 88_591_464 - 1_025_000),
    ],
)
def test_parameter_counts_are_torchvisions(name, parameters):
    module, images = models.make(name), jax.ShapeDtypeStruct((1, 64, 64, 3), jnp.float32)
    variables = jax.eval_shape(module.init, jax.random.key(0), images)
    assert sum(leaf.size for leaf in jax.tree.leaves(variables)) == parameters
    assert jax.eval_shape(module.apply, variables, images).shape == (1, module.width_out)


def test_initialisation_stages_and_precision():
    module = ConvNeXt((1, 2), (16, 32), drop_path=0.1)
    images = np.random.default_rng(0).normal(size=(4, 16, 16, 3)).astype(np.float32)
    variables = jax.jit(module.init)(jax.random.key(0), images[:1])
    block = variables["params"]["stages_1_blocks_1"]
    np.testing.assert_array_equal(block["gamma"], np.float32(1e-6))
    np.testing.assert_array_equal(block["conv_dw"]["bias"], 0)
    # 4,096 draws: their deviation is off by 1 %, five times that is allowed
    np.testing.assert_allclose(np.std(block["mlp"]["fc1"]["kernel"]), 0.02, rtol=0.05)

    def gradient(module):
        loss = lambda v: jnp.sum(jnp.sin(module.apply(v, images)))  # noqa: E731
        return jax.jit(jax.grad(loss))(variables)

    again = gradient(module.clone(remat=True))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-5), gradient(module), again)
    vectors, seen = module.apply(variables, images, mutable=["intermediates"])
    shapes = {name: maps[0].shape for name, maps in seen["intermediates"].items()}
    assert shapes == {"layer1": (4, 4, 4, 16), "layer2": (4, 2, 2, 32), "maps": (4, 2, 2, 32)}
    half = module.clone(dtype=jnp.bfloat16).apply(variables, images)
    assert half.dtype == jnp.float32
    close(half, vectors, 0.05)  # bfloat16 rounds to 4e-3, in a dozen products
    rngs = {"drop_path": jax.random.key(0)}
    dropped = module.clone(layer_scale=1.0, drop_path=0.9).apply(variables, images, True, rngs=rngs)
    assert np.isfinite(dropped).all() and np.abs(dropped - vectors).max() > 0
