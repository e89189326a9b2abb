"""The text tower against VSE++'s with torch.nn.GRU, in float64 with weights from a recipe."""

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import PartitionSpec as P

from jax_bt import models, weights
from jax_bt.devices.mesh import AXIS, make_mesh


def test_vsepp_parity(golden, recipe_weights):
    data = golden("gru_text_2layers_forward")
    state_dict = recipe_weights(data)
    with jax.enable_x64(True):
        sizes = {"vocabulary": 25, "embedding": 6, "features": 10, "layers": 2}
        types = {"dtype": jnp.float64, "param_dtype": jnp.float64}
        module = models.make("gru_text", **sizes, **types)
        found = weights.from_state_dict(module, state_dict)
        params = jax.tree.map(lambda w: jnp.asarray(w, jnp.float64), found["params"])
        tokens = data["tokens"]

        def scalar(params):
            module_of_unit = module.clone(unit_norm=True)
            vectors, seen = module_of_unit.apply(
                {"params": params}, tokens, mutable=["intermediates"]
            )
            return jnp.sum(vectors * data["R"]), (vectors, seen["intermediates"]["states"][0])

        grads, (vectors, states) = jax.jit(jax.grad(scalar, has_aux=True))(params)
        last = module.apply({"params": params}, tokens)
    # All files are float64, where ours leaves 1e-15 of values below 1.
    np.testing.assert_allclose(states[:3], data["states"], atol=1e-13)
    np.testing.assert_allclose(last, data["last"], atol=1e-13)
    np.testing.assert_allclose(vectors, data["vector"], atol=1e-13)
    by_name = weights.to_state_dict(module, {"params": grads})
    assert set(by_name) == {str(key) for key in data["keys"]}
    for key, norm in zip(data["grad_names"], data["grad_norms"], strict=True):
        np.testing.assert_allclose(np.linalg.norm(by_name[str(key)]), norm, rtol=1e-10, err_msg=key)
    for key in ("embed.weight", "rnn.bias_hh_l0", "rnn.bias_ih_l0"):
        np.testing.assert_allclose(by_name[key], data[f"grad/{key}"], atol=1e-12, err_msg=key)


def test_padding_changes_nothing_and_an_empty_sentence_is_finite():
    module = models.make("gru_text", vocabulary=9, embedding=4, features=6)
    tokens = np.array([[3, 1, 4, 0, 0], [1, 0, 0, 0, 0], [0, 0, 0, 0, 0]])
    variables = jax.jit(module.init)(jax.random.key(0), tokens)
    vectors = module.apply(variables, tokens)
    np.testing.assert_allclose(module.apply(variables, tokens[:1, :3]), vectors[:1], atol=1e-6)
    np.testing.assert_array_equal(module.apply(variables, tokens.astype(np.float32)), vectors)
    assert np.isfinite(vectors).all() and vectors.shape == (3, module.width_out)
    assert np.abs(variables["params"]["embed"]["embedding"]).max() <= 0.1
    half = module.clone(dtype=jnp.bfloat16).apply(variables, tokens)
    assert half.dtype == jnp.float32
    np.testing.assert_allclose(half, vectors, atol=0.02)  # bfloat16 rounds values below 1 to 4e-3


def test_gradients_over_eight_devices_are_those_of_one():
    module = models.make("gru_text", vocabulary=9, embedding=4, features=6)
    tokens = np.random.default_rng(0).integers(0, 9, size=(16, 5))
    variables = jax.jit(module.init)(jax.random.key(0), tokens)

    def loss(variables, tokens, axis_name=None):
        total = jnp.sum(jnp.sin(module.clone(axis_name=axis_name).apply(variables, tokens)))
        return total if axis_name is None else jax.lax.psum(total, axis_name)

    mapped = jax.shard_map(
        lambda v, t: loss(v, t, AXIS), mesh=make_mesh(), in_specs=(P(), P(AXIS)), out_specs=P()
    )
    one, eight = (jax.jit(jax.grad(f))(variables, tokens) for f in (loss, mapped))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6), one, eight)
