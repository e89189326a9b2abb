"""Losses of arrays sharded over explicit mesh axes, the default of ``jax.make_mesh``."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import NamedSharding
from jax.sharding import PartitionSpec as P

from jax_bt import losses
from jax_bt.losses.explicit import on_any_mesh

pytestmark = pytest.mark.usefixtures("quick_compilation")


@pytest.mark.parametrize("axis_types", ["Explicit", "Auto"])
@pytest.mark.parametrize("form", ["cross_correlation", "gram"])
@pytest.mark.parametrize("loss", ["barlow_twins", "vicreg"])
def test_value_and_gradient_are_those_of_one_device(loss, form, axis_types):
    mesh = jax.make_mesh(
        (4,), ("x",), (jax.sharding.AxisType[axis_types],), devices=jax.devices()[:4]
    )
    z = np.random.default_rng(0).normal(size=(2, 8, 12)).astype(np.float32)
    step = jax.jit(
        jax.value_and_grad(lambda a, b: getattr(losses, loss)(a, b, form=form).loss, (0, 1))
    )
    value, gradients = step(*jax.device_put(tuple(z), NamedSharding(mesh, P("x"))))
    expected_value, expected_gradients = step(*z)
    np.testing.assert_allclose(value, expected_value, rtol=1e-5)
    for gradient, expected in zip(gradients, expected_gradients, strict=True):
        np.testing.assert_allclose(gradient, expected, rtol=1e-4, atol=1e-6)
        assert gradient.sharding.spec[0] == "x"


def test_arrays_may_come_by_name_and_options_be_arrays():
    mesh = jax.make_mesh((4,), ("x",))
    z = np.random.default_rng(0).normal(size=(2, 8, 12)).astype(np.float32)
    a, b = jax.device_put(tuple(z), NamedSharding(mesh, P("x")))
    step = jax.jit(lambda a, b, w: losses.barlow_twins(z_b=b, z_a=a, lambd=w))
    out = step(a, b, jax.device_put(0.5, NamedSharding(mesh, P())))
    np.testing.assert_allclose(out, losses.barlow_twins(*z, lambd=0.5), rtol=1e-5)


def test_name_and_signature_are_kept():
    @on_any_mesh
    def mean(x):
        """The mean."""
        return jnp.mean(x)

    assert mean.__name__ == "mean" and mean.__doc__ == "The mean."
    assert mean(np.ones(3)) == 1
