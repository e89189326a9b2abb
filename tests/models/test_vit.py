"""ViTs against timm's, in float64 with weights regenerated from a recipe.

The golden copies keep what an image's vector and its gradients need: of input gradients every third
pixel of the first image, of tokens every fourth, of resampled embeddings every fourth channel.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import PartitionSpec as P

from jax_bt import models, weights
from jax_bt.devices.mesh import AXIS, make_mesh
from jax_bt.models.vit import ViT, resampled

# Ours leaves 2e-15 where the file has float64 and 5e-8, its rounding, where it has float32.
DOUBLE, SINGLE = 1e-12, 2e-7
TINY = {"depth": 2, "features": 32, "heads": 2, "patch_size": 4}


def close(actual, expected, tolerance, what=""):
    """Equal up to ``tolerance`` times the largest expected magnitude."""
    atol = tolerance * np.abs(expected).max()
    np.testing.assert_allclose(actual, expected, rtol=0, atol=atol, err_msg=what)


def outcome(module, params, images, cotangent):
    """Vectors, what was sown, and the gradients of sum(vectors * cotangent)."""

    @jax.jit
    def run(params, images):
        def scalar(params, images):
            vectors, seen = module.apply({"params": params}, images, mutable=["intermediates"])
            return jnp.sum(vectors * cotangent), (vectors, seen["intermediates"])

        return jax.grad(scalar, argnums=(0, 1), has_aux=True)(params, images)

    return jax.tree.map(np.asarray, run(params, images))


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("vit_p8_32_tokenpool", {"pool": "normed_mean"}),
        ("vit_p8_32_avg", {"pool": "mean", "class_token": False}),
    ],
)
def test_timm_parity(golden, recipe_weights, name, options):
    data = golden(f"{name}_forward")
    state_dict = recipe_weights(data)
    with jax.enable_x64(True):
        types = {"dtype": jnp.float64, "param_dtype": jnp.float64}
        sizes = {"depth": 2, "features": 64, "heads": 2, "patch_size": 8}
        module = models.make("vit_small_patch16", **sizes, **options, **types)
        variables = weights.from_state_dict(module, state_dict)
        params = jax.tree.map(lambda w: jnp.asarray(w, jnp.float64), variables["params"])
        images = jnp.asarray(data["x"].transpose(0, 2, 3, 1), jnp.float64)
        (grads, grad_x), (vectors, seen) = outcome(module, params, images, data["R"])
        assert vectors.dtype == jnp.float64
        if "tokens" in data:
            token = module.clone(pool="token").apply({"params": params}, images)
            close(token, data["tokens"][:, 0], SINGLE, "class token")
            patches = seen["maps"][0].reshape(2, 16, 64)[:, 3::4]  # behind the class token
            close(patches, data["tokens"][:, 1:], SINGLE, "tokens")
    close(vectors, data["pooled"], DOUBLE, "pooled")
    grad_x = np.transpose(grad_x, (0, 3, 1, 2))
    close(grad_x[:1, :, ::3, ::3], data["grad_x"], SINGLE, "grad_x")
    if "grad_names" in data:
        by_name = weights.to_state_dict(module, {"params": grads})
        for key, norm in zip(data["grad_names"], data["grad_norms"], strict=True):
            if not key.startswith("head."):
                ours = np.linalg.norm(by_name[str(key)])
                np.testing.assert_allclose(ours, norm, rtol=1e-9, err_msg=key)


def test_positions_of_another_size_are_timms(golden, recipe_weights):
    """From 4 x 4 patches to 6 x 4 behind a class token; timm resamples in float32."""
    data = golden("vit_p16_64_forward")
    table = jnp.asarray(recipe_weights(data)["pos_embed"])
    new = resampled(table, 1, 6, 4)
    close(new[..., ::4], data["other_size/pos_embed"], 1e-6)
    np.testing.assert_array_equal(new[:, 0], table[:, 0])
    assert resampled(table, 1, 4, 4) is table
    with pytest.raises(ValueError, match="pos_embed has 8 positions, which are no square"):
        resampled(table[:, :9], 1, 4, 4)
    assert resampled(table[:, :9], 1, 2, 4).shape == (1, 9, 64)


def draw(module, size=8):
    rng = np.random.default_rng(0)
    images = rng.normal(size=(16, size, size, 3)).astype(np.float32)
    variables = jax.jit(module.init)(jax.random.key(0), images[:1])
    return variables, images


def test_small_crops_go_through_a_net_of_large_ones():
    module = ViT(**TINY)
    variables, images = draw(module, 16)
    small = module.apply(variables, images[:, :8, :8])
    positions = resampled(variables["params"]["pos_embed"], 1, 2, 2)
    same = {"params": {**variables["params"], "pos_embed": positions}}
    np.testing.assert_array_equal(small, module.apply(same, images[:, :8, :8]))


@pytest.mark.parametrize(
    ("name", "parameters"),
    [  # timm's published counts at 224 pixels less the classifier's 1000 x (width + 1)
        ("vit_tiny_patch16", 5_717_416 - 193_000),
        ("vit_small_patch16", 22_050_664 - 385_000),
        ("vit_base_patch16", 86_567_656 - 769_000),
        ("vit_large_patch16", 304_326_632 - 1_025_000),
    ],
)
def test_parameter_counts_are_timms(name, parameters):
    images = jax.ShapeDtypeStruct((1, 224, 224, 3), jnp.float32)
    variables = jax.eval_shape(models.make(name).init, jax.random.key(0), images)
    assert sum(leaf.size for leaf in jax.tree.leaves(variables)) == parameters


def test_initialisation_is_timms():
    module = models.make("vit_toy_patch4")
    params = draw(module)[0]["params"]
    kernels = np.concatenate(
        [
            np.ravel(params[f"blocks_{i}"]["mlp"][fc]["kernel"])
            for i in (0, 1)
            for fc in ("fc1", "fc2")
        ]
    )  # 65 536 draws: their deviation is off by 0.3 %
    np.testing.assert_allclose(kernels.std(), 0.02, rtol=1e-2)
    np.testing.assert_array_equal(params["blocks_0"]["attn"]["qkv"]["bias"], 0)
    np.testing.assert_array_equal(params["norm"]["scale"], 1)
    assert 0 < np.abs(params["cls_token"]).max() < 1e-5
    patch, bound = params["patch_embed_proj"], 1 / np.sqrt(3 * 4 * 4)  # torch's own of Conv2d
    for name in ("kernel", "bias"):
        assert 0.9 * bound < np.abs(patch[name]).max() <= bound


def test_rematerialisation_changes_no_number_and_bfloat16_little():
    plain = ViT(**TINY)
    variables, images = draw(plain)
    cotangent = np.random.default_rng(1).normal(size=(16, 32)).astype(np.float32)
    (grads, _), (vectors, seen) = outcome(plain, variables["params"], images, cotangent)
    assert [seen[f"block{i}"][0].shape for i in (1, 2)] == [(16, 2, 2, 32)] * 2
    (again, _), _ = outcome(plain.clone(remat=True), variables["params"], images, cotangent)
    jax.tree.map(lambda a, b: close(b, a, 1e-5), grads, again)
    half = plain.clone(dtype=jnp.bfloat16).apply(variables, images)
    assert half.dtype == jnp.float32
    close(half, vectors, 0.05)  # bfloat16 rounds to 4e-3, in a dozen products


@pytest.mark.parametrize("remat", [False, True])
def test_drop_path_is_the_same_on_any_number_of_devices(remat):
    module = ViT(**TINY, drop_path=0.5, remat=remat)
    variables, images = draw(module)
    key = {"drop_path": jax.random.key(3)}
    one = jax.jit(lambda x: module.apply(variables, x, train=True, rngs=key))(images)
    mapped = module.clone(axis_name=AXIS)
    eight = jax.jit(
        jax.shard_map(
            lambda x: mapped.apply(variables, x, train=True, rngs=key),
            mesh=make_mesh(),
            in_specs=P(AXIS),
            out_specs=P(AXIS),
        )
    )(images)
    close(eight, one, 1e-5)
    still = module.apply(variables, images)
    dropped = np.abs(one - still).max(axis=1) > 1e-3
    assert dropped.all()  # kept branches of the last block are doubled, others are gone
    np.testing.assert_array_equal(still, module.clone(drop_path=0.0).apply(variables, images))
    np.testing.assert_array_equal(still, module.apply(variables, images, train=True))  # no key


def test_drop_path_keeps_the_mean():
    """4,000 examples: kept ones of 0.75 are scaled by 4/3; the share is off by at most 4 sigma."""
    drop = models.vit.DropPath(0.25)
    y = drop.apply({}, jnp.ones((4000, 2)), True, rngs={"drop_path": jax.random.key(0)})
    np.testing.assert_allclose(np.unique(y), [0, 4 / 3], rtol=1e-6)
    np.testing.assert_array_equal(y[:, 0], y[:, 1])
    sigma = np.sqrt(0.25 * 0.75 / 4000)
    assert abs((np.asarray(y[:, 0]) > 0).mean() - 0.75) < 4 * sigma


def test_mistakes_are_named():
    def refused(match, size=8, **options):
        with pytest.raises(ValueError, match=match):
            draw(ViT(**{**TINY, **options}), size)

    refused("pool='avg' is not one of token, mean, normed_mean", pool="avg")
    refused("pool='token' needs class_token=True", class_token=False)
    refused("features=32 do not divide into heads=3", heads=3)
    refused("images of 10 x 10 do not divide into patches of 4", size=10)
    with pytest.raises(ValueError, match="vit_small_patch16: option 'stem' is not one of depth"):
        models.make("vit_small_patch16", stem="cifar")
    assert models.make("vit_small_patch16", stem=None, patch_size=8).patch_size == 8
