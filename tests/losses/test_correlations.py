"""The D x D and the N x N form of the squared correlations are the same numbers and gradients."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import NamedSharding
from jax.sharding import PartitionSpec as P

from jax_bt import losses
from jax_bt.losses._correlations import correlations
from jax_bt.losses._cost import scattered

each_form = pytest.mark.parametrize("form", ["cross_correlation", "gram"])
each_loss = pytest.mark.parametrize("loss", ["barlow_twins", "vicreg"])
# The last is wide enough for its D x D rows to be scattered over the devices.
SHAPES = [(64, 16), (24, 40), (8, 100), (16, 512)]


def views(n, d, seed=0):
    random = np.random.default_rng(seed)
    common = random.normal(size=(n, d))
    return tuple(common + random.normal(size=(n, d)) + 1 for _ in range(2))


@functools.cache
def step(loss, form, axis_name=None):
    function = functools.partial(getattr(losses, loss), form=form, axis_name=axis_name)
    return jax.value_and_grad(lambda a, b: function(a, b).loss, argnums=(0, 1))


@functools.cache
def textbook(loss, n, d):
    """Value and gradients in float64, by automatic differentiation of the D x D formula."""

    def off(c):
        return jnp.sum(jnp.square(c - jnp.diag(jnp.diagonal(c))))

    def barlow_twins(a, b):
        a, b = ((z - z.mean(0)) / jnp.sqrt(z.var(0) + 1e-5) for z in (a, b))
        c = a.T @ b / n
        return jnp.sum(jnp.square(jnp.diagonal(c) - 1)) + 0.0051 * off(c)

    def vicreg(a, b):
        value = 25 * jnp.mean(jnp.square(a - b))
        for z in (a, b):
            z = z - z.mean(0)
            c = z.T @ z / (n - 1)
            value += 12.5 * jnp.mean(jax.nn.relu(1 - jnp.sqrt(jnp.diagonal(c) + 1e-4)))
            value += off(c) / d
        return value

    formula = {"barlow_twins": barlow_twins, "vicreg": vicreg}[loss]
    with jax.enable_x64(True):
        return jax.tree.map(np.asarray, jax.jit(jax.value_and_grad(formula, (0, 1)))(*views(n, d)))


def assert_close(result, expected, tolerance):
    (value, gradients), (expected_value, expected_gradients) = result, expected
    np.testing.assert_allclose(value, expected_value, rtol=tolerance)
    for gradient, reference in zip(gradients, expected_gradients, strict=True):
        scale = np.max(np.abs(reference))
        np.testing.assert_allclose(gradient, reference, rtol=0, atol=tolerance * scale)


@pytest.mark.parametrize("n, d", SHAPES)
@each_form
@each_loss
def test_every_form_equals_the_textbook(loss, form, n, d):
    run, z = jax.jit(step(loss, form)), views(n, d)
    assert_close(run(*map(np.float32, z)), textbook(loss, n, d), 5e-6)
    with jax.enable_x64(True):
        assert_close(run(*z), textbook(loss, n, d), 1e-11)


def mesh(devices):
    kind = (jax.sharding.AxisType.Auto,)
    return jax.make_mesh((devices,), ("x",), kind, devices=jax.devices()[:devices])


def outside(loss, form, z, devices):
    mapped = jax.shard_map(
        lambda a, b: getattr(losses, loss)(a, b, form=form, axis_name="x").loss,
        mesh=mesh(devices),
        in_specs=P("x"),
        out_specs=P(),
    )
    return jax.jit(jax.value_and_grad(mapped, argnums=(0, 1)))(*z)


def inside(loss, form, z, devices):
    mapped = jax.shard_map(
        step(loss, form, "x"),
        mesh=mesh(devices),
        in_specs=P("x"),
        out_specs=(P(), P("x")),
    )
    return jax.jit(mapped)(*z)


def sharded_jit(loss, form, z, devices):
    return jax.jit(step(loss, form))(*jax.device_put(z, NamedSharding(mesh(devices), P("x"))))


def replicas(loss, form, z, devices):
    """Under pmap each device holds as many times its share as there are devices."""
    split = [x.reshape(devices, -1, x.shape[1]) for x in z]
    values, gradients = jax.pmap(step(loss, form, "x"), "x", devices=jax.devices()[:devices])(
        *split
    )
    return values[-1], [np.asarray(g).reshape(z[0].shape) / devices for g in gradients]


@pytest.mark.parametrize("way", [outside, inside, sharded_jit, replicas])
@each_form
@each_loss
def test_every_form_on_several_devices(loss, form, way):
    (n, d), devices = SHAPES[-1], 8
    assert scattered(d, devices)
    with jax.enable_x64(True):
        assert_close(way(loss, form, views(n, d), devices), textbook(loss, n, d), 1e-11)


@each_form
@each_loss
def test_a_width_that_does_not_divide_the_devices(loss, form):
    with jax.enable_x64(True):
        z = views(8, 100)
        assert_close(outside(loss, form, z, 8), textbook(loss, 8, 100), 1e-11)


@each_form
def test_second_derivatives_and_forward_mode(form):
    def off(z):
        z = z - jnp.mean(z, axis=0)
        return correlations((z, z**2), ((0, 1), (0, 0)), form=form)[1]

    def plain(z):
        z = z - jnp.mean(z, axis=0)
        products = (z.T @ z**2, z.T @ z)
        return sum(jnp.sum(jnp.square(c - jnp.diag(jnp.diagonal(c)))) for c in products)

    z, direction = views(5, 3)
    with jax.enable_x64(True):
        np.testing.assert_allclose(off(z), plain(z))
        np.testing.assert_allclose(
            jax.jit(jax.hessian(off))(z), jax.jit(jax.hessian(plain))(z), atol=1e-9
        )
        slope, expected = (jax.jvp(f, (z,), (direction,))[1] for f in (off, plain))
        np.testing.assert_allclose(slope, expected)


@each_form
@each_loss
def test_second_derivatives_on_several_devices(loss, form):
    def curvature(value):
        def along(z, direction):
            return jnp.vdot(jax.grad(value)(z), direction)

        return jax.jit(jax.grad(along))

    function = functools.partial(getattr(losses, loss), form=form)
    mapped = jax.shard_map(
        lambda z: function(z, z**2, axis_name="x").loss,
        mesh=mesh(4),
        in_specs=P("x"),
        out_specs=P(),
    )
    z, direction = views(8, 5)
    with jax.enable_x64(True):
        expected = curvature(lambda z: function(z, z**2, form="cross_correlation").loss)
        np.testing.assert_allclose(
            curvature(mapped)(z, direction), expected(z, direction), atol=1e-9
        )


@each_form
def test_whitened_views_have_no_negative_redundancy(form):
    """The sum of squares is what two large sums leave of each other, and rounding leaves less."""
    random = np.random.default_rng(0)
    q, _ = np.linalg.qr(np.c_[np.ones(512), random.normal(size=(512, 64))])
    z = np.float32(q[:, 1:] * np.sqrt(512))
    noisy = np.float32(z + 0.1 * random.normal(size=z.shape))
    # Only the redundancy counts here, and this much of it.
    value = functools.partial(losses.barlow_twins, form=form, terms="redundancy", lambd=1.0)
    step = jax.jit(jax.value_and_grad(lambda a, b: value(a, b).loss))
    (redundancy, gradient), (_, usual) = step(z, z), step(noisy, noisy)
    assert 0 <= redundancy < 64 * 1e-5
    assert np.max(np.abs(gradient)) < 1e-4 * np.max(np.abs(usual))
    covariance = jax.jit(lambda z: losses.vicreg(z, z, form=form).covariance)(z)
    assert 0 <= covariance < 1e-5


@each_loss
def test_gradient_of_the_gram_form_needs_one_product_a_view(loss):
    n, d = 16, 400
    shape = jax.ShapeDtypeStruct((n, d), np.float32)
    jaxpr = jax.make_jaxpr(step(loss, "gram"))(shape, shape)
    text = str(jaxpr)
    assert text.count("dot_general") == 4  # K and K Z of two views
    assert f"[{d},{d}]" not in text
