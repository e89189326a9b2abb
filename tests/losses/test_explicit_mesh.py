"""Losses of arrays sharded over explicit mesh axes, the default of ``jax.make_mesh``."""

import jax
import jax.numpy as jnp
import numpy as np
from helpers.conformance import cast, each_loss
from jax.sharding import NamedSharding
from jax.sharding import PartitionSpec as P

from jax_bt import losses
from jax_bt.losses._explicit_mesh import on_any_mesh


def mesh():
    return jax.make_mesh((4,), ("x",), devices=jax.devices()[:4])


@each_loss
def test_value_and_gradient_are_those_of_one_device(case):
    assert mesh().axis_types == (jax.sharding.AxisType.Explicit,)
    x = cast(case.inputs(), "float32")
    step = jax.jit(jax.value_and_grad(case.loss))
    expected_value, expected = step(x)
    shardings = {name: NamedSharding(mesh(), spec) for name, spec in case.specs("x").items()}
    value, gradients = step(jax.device_put(x, shardings))
    np.testing.assert_allclose(value, expected_value, rtol=1e-4)
    for name, gradient in gradients.items():
        scale = np.max(np.abs(expected[name]))
        np.testing.assert_allclose(gradient, expected[name], rtol=0, atol=1e-3 * scale)
        assert gradient.sharding.is_equivalent_to(shardings[name], gradient.ndim)


def test_arrays_may_come_by_name_and_options_be_arrays():
    z = np.random.default_rng(0).normal(size=(2, 8, 12)).astype(np.float32)
    a, b = jax.device_put(tuple(z), NamedSharding(mesh(), P("x")))
    step = jax.jit(lambda a, b, w: losses.barlow_twins(z_b=b, z_a=a, lambd=w))
    out = step(a, b, jax.device_put(0.5, NamedSharding(mesh(), P())))
    np.testing.assert_allclose(out, losses.barlow_twins(*z, lambd=0.5), rtol=1e-5)


def test_name_and_signature_are_kept():
    @on_any_mesh
    def mean(x):
        """The mean."""
        return jnp.mean(x)

    assert mean.__name__ == "mean" and mean.__doc__ == "The mean."
    assert mean(np.ones(3)) == 1
