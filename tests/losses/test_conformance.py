"""Every loss of ``jax_bt.losses`` means the same on any number of devices, and behaves."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers.conformance import (
    DEFAULT,
    OPTIONS,
    WAYS,
    WIDE,
    cast,
    check_order,
    check_pmap,
    check_sharded,
    each_case,
    each_loss,
    on_one_device,
    outside,
    parameters,
    step,
)

from jax_bt import losses

# All losses on eight devices; other numbers of them with one loss that sums over the devices and
# one that gathers from them.
COUNTS = [(case, 8) for case in DEFAULT]
COUNTS += [(c, n) for c in DEFAULT if c.name in ("vicreg", "nt_xent") for n in (2, 4)]
each_count = pytest.mark.parametrize(
    ("case", "devices"), COUNTS, ids=[f"{case.name}-{n}" for case, n in COUNTS]
)


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
@each_count
def test_sharded_equals_one_device(case, devices, way):
    check_sharded(case, way, devices)


@each_count
def test_pmap_with_mean_of_gradients_equals_one_device(case, devices):
    check_pmap(case, devices)


@pytest.mark.parametrize("case", OPTIONS + WIDE, ids=lambda case: case.name)
def test_options_and_wide_embeddings_sharded_equal_one_device(case):
    """They share most of a loss's code: one way, that of training, is enough."""
    check_sharded(case, outside, 4)


@each_case
def test_order_of_the_batch_does_not_matter(case):
    check_order(case)


@each_loss
def test_float32_is_close_to_float64(case):
    value, gradient = step(case)(parameters(case, dtype="float32"), cast(case.inputs(), "float32"))
    expected_value, expected_gradient = on_one_device(case)
    assert value.dtype == jnp.float32
    np.testing.assert_allclose(value, expected_value, rtol=1e-4)
    assert_gradients_close(gradient, expected_gradient, 1e-3)


# The range of float16 is what exponentials and masks would leave.
SHORT = [(case, jnp.bfloat16) for case in DEFAULT]
SHORT += [(case, jnp.float16) for case in DEFAULT if case.name in ("nt_xent", "swav")]


@pytest.mark.parametrize(
    ("case", "dtype"), SHORT, ids=[f"{case.name}-{dtype.__name__}" for case, dtype in SHORT]
)
def test_short_floats_are_computed_in_float32(case, dtype):
    x = cast(case.inputs(), dtype)
    # A map by the identity leaves short floats what they are, so both see the same numbers, and
    # the loss differs by nothing, the gradient by its last rounding.
    value, (_, gradient) = step(case)(parameters(case, 0, dtype), x)
    wide = step(case)(parameters(case, 0, "float32"), cast(x, "float32"))
    assert value.dtype == jnp.float32
    np.testing.assert_allclose(value, wide[0], rtol=1e-5)
    assert all(g.dtype == dtype for g in gradient.values())
    assert_gradients_close(gradient, wide[1][1], 2 * float(jnp.finfo(dtype).eps))


def assert_gradients_close(gradient, expected, tolerance):
    """Equal to ``tolerance`` of the greatest entry of each array."""
    leaves, references = jax.tree.leaves(gradient), jax.tree.leaves(expected)
    for g, e in zip(leaves, references, strict=True):
        scale = np.max(np.abs(e))
        np.testing.assert_allclose(np.float64(g), np.float64(e), rtol=0, atol=tolerance * scale)


def test_every_published_loss_is_found():
    found = {case.name for case in DEFAULT}
    assert found >= {
        "barlow_twins", "vicreg", "byol", "simsiam", "nt_xent", "info_nce", "info_nce_in_batch",
        "swav", "w_mse", "imax", "lejepa", "visreg", "frossl", "mmcr", "tico", "cor_info_max",
        "tcr", "mixed_barlow_twins", "mec", "direct_clr", "deepcluster_v2", "obow", "sela_v2",
    }  # fmt: skip
    assert all(callable(getattr(losses, name)) for name in found)
