"""Each method's heads behind a ResNet-50: widths, biases and norms as in the references."""

import jax
import jax.numpy as jnp
import pytest

from jax_bt import methods, models

# One letter a parameter: kernel, bias; norms with scale and shift (n), scale only (s), neither (p).
EXPECTED = {
    "barlow_twins": {"projector": "2048-k-8192-n-k-8192-n-k-8192"},
    "vicreg": {"projector": "2048-kb-8192-n-kb-8192-n-k-8192"},
    "byol": {"projector": "2048-kb-4096-n-k-256", "predictor": "256-kb-4096-n-k-256"},
    "simclr": {"projector": "2048-k-2048-n-k-2048-n-k-128-s"},
    "simsiam": {
        "projector": "2048-k-2048-n-k-2048-n-k-2048-p",
        "predictor": "2048-k-512-n-kb-2048",
    },
    "moco_v2": {"projector": "2048-kb-2048-kb-128"},
    "moco_v3": {"projector": "2048-k-4096-n-k-256-p", "predictor": "256-k-4096-n-k-256"},
    "swav": {"projector": "2048-kb-2048-n-kb-128", "prototypes": "128-k-3000"},
    "deepcluster_v2": {"projector": "2048-kb-2048-n-kb-128"},
    "sela_v2": {
        "projector": "2048-kb-2048-n-kb-128",
        "prototypes": "128-k-3000-k-3000-k-3000",
    },
    "w_mse": {"projector": "2048-kb-1024-n-kb-64"},
    "imax": {"projector": "2048-k-2048-n-k-2048-n-k-2048-p"},
    "vse": {"projector": "2048-kb-1024"},
}


def described(module, width):
    """The head's layers in order, read from the shapes of its parameters and statistics."""
    shapes = jax.eval_shape(lambda: module.init(jax.random.key(0), jnp.zeros((1, width))))
    params, stats = shapes["params"], shapes.get("batch_stats", {})
    layers = {"": params} if "kernel" in params else params
    words, order = [str(width)], sorted(layers.keys() | stats, key=lambda n: (n[-1:], n[:1] == "b"))
    for name in order:
        layer = layers.get(name, {})
        if "kernel" in layer:
            words += ["kb" if "bias" in layer else "k", str(layer["kernel"].shape[1])]
        else:
            words.append({2: "n", 1: "s", 0: "p"}[len(layer)])
    return "-".join(words)


@pytest.mark.parametrize("name", EXPECTED)  # the others are in test_family.py
def test_heads_are_the_references(name):
    made = methods.load(name).heads(2048)
    widths = {"projector": 2048, "predictor": made["projector"].widths[-1], "prototypes": 128}
    assert {role: described(head, widths[role]) for role, head in made.items()} == EXPECTED[name]


def test_vses_head_takes_unit_rows_and_a_tower_as_wide_has_none():
    (head,) = methods.load("vse").heads(6, projector=(4,)).values()
    x = jax.random.normal(jax.random.key(0), (3, 6))
    variables = head.init(jax.random.key(1), x)
    linear = variables["params"]["linear_0"]
    unit = x / jnp.linalg.norm(x, axis=1, keepdims=True)
    expected = unit @ linear["kernel"] + linear["bias"]
    assert jnp.allclose(head.apply(variables, x), expected, atol=1e-6)
    (none,) = methods.load("vse").heads(4, projector=(4,)).values()
    assert isinstance(none, models.heads.Identity) and none.width_out == 4


def test_simclr_without_norm_has_biases():
    (head,) = methods.load("simclr").heads(512, projector=(2048, 256), norm=False).values()
    assert described(head, 512) == "512-kb-2048-kb-256"


def test_heads_take_the_encoders_dtype_axis_and_groups():
    encoder = models.make("resnet_small", dtype="bfloat16", norm_group=2, axis_name="data")
    nets = methods.make_networks(methods.load("swav"), encoder, {}, inputs=(8, 8, 3))
    projector, prototypes = nets.modules["projector"], nets.modules["prototypes"]
    assert (projector.dtype, projector.axis_name, projector.norm_group) == ("bfloat16", "data", 2)
    assert prototypes.dtype == jnp.float32  # of its own: codes are sharp, scores over 0.05
