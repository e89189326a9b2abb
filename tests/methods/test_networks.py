"""The encoder in micro-batches: the whole batch's loss and gradient, a part's memory."""

import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jax_bt import config, losses, methods, optim
from jax_bt.devices.mesh import AXIS, make_mesh, to_global
from jax_bt.errors import UsageError
from jax_bt.methods import Method
from jax_bt.methods._networks import Networks, in_parts
from jax_bt.models.heads import MLP
from jax_bt.models.resnet import ResNet
from jax_bt.models.vit import ViT
from jax_bt.train.build import build
from jax_bt.train.step import make_init_state, make_train_step

from . import tiny


def trained(micro_batches, *, devices=1, name="barlow_twins", **encoder):
    """Three steps; the losses and what the state holds at the end."""
    method, nets = Method(methods.load(name)), tiny.networks(name, axis_name=AXIS)
    made = MLP((24, 12), axis_name=AXIS, **encoder)
    nets = Networks({**nets.modules, "encoder": made}, nets.inputs, micro_batches)
    mesh, optimizer = make_mesh(jax.devices()[:devices]), optim.sgd(0.05)
    current = make_init_state(method, nets, optimizer, mesh, total_steps=3)(0)
    train_step = make_train_step(method, nets, optimizer, mesh, total_steps=3)
    values = []
    for i in range(3):
        current, metrics = train_step(current, to_global(mesh, {"views": tiny.views(i)}))
        values.append(float(metrics.terms["loss"]))
    return values, jax.device_get((current.params, current.batch_stats, current.target))


def assert_close(a, b, tolerance):
    np.testing.assert_allclose(a[0], b[0], rtol=tolerance)
    jax.tree.map(
        functools.partial(np.testing.assert_allclose, rtol=tolerance, atol=tolerance), a[1], b[1]
    )


@pytest.mark.parametrize("name", ["barlow_twins", "vicreg", "byol"])
@pytest.mark.parametrize("parts, devices", [(4, 1), (2, 4)])
def test_without_batch_norm_it_is_the_large_batch(name, parts, devices):
    """The heads keep their batch norm: they see the whole batch either way."""
    whole = trained(1, name=name, norm=False)
    assert np.ptp(whole[0]) > 1e-3
    assert_close(trained(parts, name=name, devices=devices, norm=False), whole, 2e-5)


def test_with_batch_norm_parts_are_the_same_on_any_number_of_devices():
    one, four = (trained(4, devices=n, output_norm="affine") for n in (1, 4))
    assert_close(four, one, 1e-4)
    whole = trained(1, output_norm="affine")
    assert abs(whole[0][0] / one[0][0] - 1) > 1e-4  # statistics of 4 examples, not of 16


def test_value_gradient_and_statistics_are_those_of_parts_put_together():
    """Beside plain automatic differentiation of four passes of every fourth example."""
    module = MLP((8,), output_norm="affine")
    x_a, x_b = tiny.views(0)
    variables = module.init(jax.random.key(0), x_a, train=False)

    def loss(params, apply):
        given = {**variables, "params": params}
        (z_a, new), (z_b, _) = apply(given, x_a), apply(given, x_b)
        return losses.vicreg(z_a, z_b).loss, new

    def by_hand(given, x):
        passes = [
            module.apply(given, x[part::4], train=True, mutable=["batch_stats"])
            for part in range(4)
        ]
        z = jnp.stack([y for y, _ in passes], axis=1).reshape(len(x), -1)
        return z, jax.tree.map(lambda *s: sum(s) / 4, *[new["batch_stats"] for _, new in passes])

    grad = functools.partial(
        jax.jit(jax.value_and_grad(loss, has_aux=True), static_argnums=1), variables["params"]
    )
    found = grad(lambda given, x: in_parts(module, given, jnp.asarray(x), 4)[:2])
    close = functools.partial(np.testing.assert_allclose, rtol=1e-5, atol=1e-6)
    jax.tree.map(close, found, grad(by_hand))


def test_a_part_is_what_is_kept_in_memory():
    """A convolutional encoder's temporaries, by the compiler's own account."""
    module = ResNet((1, 1), bottleneck=False, features=8, stem="cifar")
    images = jax.ShapeDtypeStruct((64, 16, 16, 3), jnp.float32)
    variables = jax.eval_shape(
        functools.partial(module.init, train=False), jax.random.key(0), images
    )

    def temporaries(parts):
        def loss(variables, x):
            return jnp.sum(jnp.square(in_parts(module, variables, x, parts)[0]))

        compiled = jax.jit(jax.grad(loss)).lower(variables, images).compile()
        return compiled.memory_analysis().temp_size_in_bytes

    assert temporaries(8) < 0.3 * temporaries(1)


def test_parts_that_do_not_divide_are_refused():
    c = config.digits()
    c.batch_size, c.micro_batches = 64, 3
    with pytest.raises(UsageError, match="micro_batches=3 does not divide the 8 examples per"):
        build(c, make_mesh(), train_size=1297)
    with pytest.raises(UsageError, match="10 examples of a device do not divide into 4 micro-bat"):
        in_parts(MLP((8,)), {"params": {}}, jnp.zeros((10, 6)), 4)


def test_an_encoder_draws_anew_for_each_view_and_part_and_not_without_a_key():
    # The first block's rate is 0.
    encoder = ViT(depth=2, features=8, heads=2, patch_size=4, drop_path=0.9)
    networks = Networks({"encoder": encoder}, (8, 8, 3))
    variables = jax.jit(networks.init)(jax.random.key(0))
    x = jnp.asarray(np.random.default_rng(0).normal(size=(1, 8, 8, 3)), jnp.float32).repeat(16, 0)

    def rows(networks, **given):
        """Number of different vectors among those of sixteen equal images."""
        y = networks(variables, x, **given)[0]["encoder"]
        return y, len(np.unique(np.round(y, 4), axis=0))

    keyed = networks._replace(key=jax.random.key(1))
    assert rows(networks, view=0)[1] == rows(keyed)[1] == 1
    first, second, again = (rows(keyed, view=view)[0] for view in (0, 1, 0))
    np.testing.assert_array_equal(first, again)
    assert np.abs(first - second).max() > 1e-3
    assert 1 < rows(keyed, view=0)[1] <= 4  # two branches of the last block, there or not
    parts = rows(keyed._replace(micro_batches=2), view=0)[0]
    assert np.abs(parts[::2] - parts[1::2]).max() > 1e-3


class Shows(nn.Module):
    """An encoder without batch norm that shows its maps."""

    width_out = 5

    @nn.compact
    def __call__(self, x, train=False):
        maps = nn.tanh(nn.Dense(self.width_out)(x))
        self.sow("intermediates", "maps", maps)
        return maps.mean((1, 2))


@pytest.mark.parametrize("parts", [1, 4])
def test_a_head_takes_the_encoders_maps_whole_or_in_parts(parts):
    """Beside Flax alone: maps and what a head makes of them, in the batch's order; the gradient."""
    heads = {"projector": MLP((4,)), "of_maps": MLP((6, 3), norm=False, reads="maps")}
    nets = Networks({"encoder": Shows(), **heads}, (4, 4, 2), parts)
    x = jnp.asarray(np.random.default_rng(0).normal(size=(8, 4, 4, 2)), jnp.float32)
    variables = jax.jit(nets.init)(jax.random.key(0))

    def by_hand(params):
        _, seen = Shows().apply({"params": params["encoder"]}, x, mutable=["intermediates"])
        [maps] = seen["intermediates"]["maps"]
        return maps, heads["of_maps"].apply({"params": params["of_maps"]}, maps)

    def ours(params):
        made, _ = nets({**variables, "params": params}, x)
        assert made["projector"].shape == (8, 4)  # the head before it takes no maps
        return made["maps"], made["of_maps"]

    def gradient(made):
        weights = jnp.cos(jnp.arange(8 * 4 * 4 * 3.0)).reshape(8, 4, 4, 3)
        grads = jax.jit(jax.grad(lambda p: jnp.sum(weights * made(p)[1])))(variables["params"])
        return {name: grads[name] for name in ("encoder", "of_maps")}

    params = variables["params"]
    close = functools.partial(np.testing.assert_allclose, rtol=1e-5, atol=1e-5)
    jax.tree.map(close, ours(params), by_hand(params))
    jax.tree.map(close, gradient(ours), gradient(by_hand))  # of sums over 128 rows of float32
    assert max(np.abs(g).max() for g in jax.tree.leaves(gradient(ours)["encoder"])) > 1e-2
